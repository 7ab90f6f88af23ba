# frozen_string_literal: true

require_relative "trail"

module Demo
  # The lines of the table about the audit trail.
  module TrailReport
    TITLE = "audit trail"
    private_constant :TITLE

    private

    def trail
      return [Table::Line.new(TITLE, "none", "written through a pool of poolkeeper's own")] unless @run.poolkeeper?

      [*trail_rows, *trail_failures, *trail_leftovers]
    end

    def trail_rows
      log = @run.trail
      [
        Table::Line.new("audit rows, counted by another client", log.rows.size,
                        "#{log.confirmed} confirmed; a batch that comes again may add one", log.plausible?, TITLE),
        none("  batches that succeeded, and are missing from the trail", log.missing(@run.batches.succeeded), TITLE)
      ]
    end

    def trail_failures
      log = @run.trail
      classes = log.failed.map { |event| event[:error].delete_prefix("Poolkeeper::") }.tally
      told = classes.map { |name, count| "#{name} #{count}" }.join(", ")
      [
        Table::Line.new("  audit writes that failed", log.failed.size, told),
        none("  of those, ended before the restart", log.early.size, TITLE),
        none("  of those, begun after the first success that followed it", log.late.size, TITLE),
        trail_recovery(log.recovery)
      ]
    end

    def trail_recovery(took)
      return Table::Line.new("  time to recover", "never", "a success wanted", false, TITLE) unless took

      Table::Line.new("  time to recover", "#{seconds(took)} s", "until the first new row was written")
    end

    def trail_leftovers
      sessions = @run.trail.sessions
      leased = @run.status[:native_leases].to_i
      [
        Table::Line.new("  5 s later: sessions of the native pool", sessions[:open], "at most #{Trail::SIZE}",
                        sessions[:open] <= Trail::SIZE, TITLE),
        none("  5 s later: of those, in a transaction", sessions[:in_transaction], TITLE),
        none("  5 s later: leases that nobody gave back", leased, TITLE),
        none("  sessions when the consumer had left", @run.trail.sessions_left[:open], TITLE)
      ]
    end
  end
end
