# frozen_string_literal: true

require_relative "../orders"
require_relative "../table"
require_relative "drivers"
require_relative "pools"

module Demo
  module Embedded
    # The table at the end of a run without a server.
    class Report < Table
      # @param run [Run]
      def initialize(run)
        @run = run
        super([*orders, *failed, *trail, *leftovers, *drivers])
      end

      private

      def orders
        rows, met_again, forgotten = @run.counted[:rows]
        [
          Line.new("orders in the table, by topic, partition and offset", rows, "#{Orders::COUNT} wanted",
                   rows == Orders::COUNT),
          Line.new("  the same, and the rows of the audit trail, by the program sqlite3", *by_sqlite3(rows)),
          Line.new("messages delivered again", @run.status[:redelivered].to_i, "those of the batch that is cut off"),
          none("  of those, written already: rows of the transaction that was cut off", met_again),
          none("rows of the forgotten transaction, committed by somebody else", forgotten),
          Line.new("seconds from the first message to the last", seconds(@run.seconds))
        ]
      end

      def by_sqlite3(rows)
        counted = @run.counted[:sqlite3]
        return ["-", "the program is not there"] unless counted

        [counted.join(" and "), "as this process counts them", counted == [rows, @run.trail.rows.size]]
      end

      def failed
        cut_off, others = @run.failed.partition { |event| event[:links].first[:class] == Run::CUT_OFF }
        named = others.map { |event| event[:links].first[:class] }.uniq
        [
          Line.new("batches cut off by their Timeout in the middle of a transaction", cut_off.size, "1 wanted",
                   cut_off.size == 1),
          Line.new("batches that failed of anything else", others.size, ["none", *named].join(", not "),
                   others.empty?)
        ]
      end

      def trail
        log = @run.trail
        [
          Line.new("audit rows, counted by another process", log.rows.size, "#{log.confirmed} confirmed",
                   log.plausible?),
          none("  batches that succeeded, and are missing from the trail", log.missing(@run.succeeded)),
          none("  audit writes that failed", log.failed.size)
        ]
      end

      def leftovers
        size = POOLS.sum { |_, (most, _)| most }
        open = @run.counted[:descriptors]
        [
          none("1 s later: leases that nobody gave back", @run.status.fetch(:leases, {}).sum { |_, (busy, _)| busy }),
          yes("1 s later: another process gets the lock for writing", @run.counted[:writable]),
          Line.new("1 s later: times that the consumer has the file open", open || "-", "at most #{size}",
                   open && open <= size),
          yes("consumer process left when told to", @run.left?),
          yes("SQLite finds the file whole", @run.counted[:whole])
        ]
      end

      # Here and in the consumer.
      def drivers
        loaded = [*@run.drivers, *Drivers.loaded]
        [Line.new("drivers and ActiveRecord that were loaded", loaded.size, ["none", *loaded].join(", not "),
                  @run.drivers && loaded.empty? || false)]
      end

      def yes(label, value)
        Line.new(label, value ? "yes" : "no", "yes wanted", value ? true : false)
      end
    end
  end
end
