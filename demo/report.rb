# frozen_string_literal: true

require_relative "orders"
require_relative "table"
require_relative "trail_report"

module Demo
  # The table at the end of a run on servers.
  class Report < Table
    include TrailReport

    # Batches that may fail on a connection from before a fault: one for each worker, those in flight.
    IN_FLIGHT = 5
    # How a fault reads as a heading, and in a line.
    TITLES = {
      restart: ["primary restarted", "a connection from before the restart"],
      terminate: ["standby's connections ended", "a connection that the standby ended"]
    }.freeze

    # @param run [Run]
    def initialize(run)
      @run = run
      super([*orders, *run.faults.flat_map { |fault| fault_lines(fault) }, *rest, *trail, *leftovers])
    end

    private

    def orders
      rows, met_again, forgotten = @run.rows
      consumed = @run.status[:consumed].to_i
      lines = [
        Line.new("orders in the table, by topic, partition and offset", rows, "#{Orders::COUNT} wanted",
                 rows == Orders::COUNT),
        Line.new("messages delivered again", @run.status[:redelivered].to_i, "#{met_again} were written already"),
        none("rows of the forgotten transaction, committed by somebody else", forgotten)
      ]
      if rows != Orders::COUNT
        lines << Line.new("orders not processed in time", Orders::COUNT - consumed)
        lines << Line.new("orders reported as processed, and not in the table", consumed - rows)
      end
      lines << Line.new("seconds from the first message to the last", seconds(@run.seconds))
    end

    def fault_lines(fault)
      title, connection = TITLES.fetch(fault.name)
      return [Line.new(title, "no", "wanted", false)] unless fault.ended

      lost = @run.batches.lost(fault).size
      late = @run.batches.late(fault).size
      [
        heading(fault, title),
        Line.new("  batches that failed on #{connection}", lost, "at most #{IN_FLIGHT}", lost <= IN_FLIGHT, title),
        none("  of those, begun after the first success", late, title),
        Line.new("  batches that were refused a connection", @run.batches.refused(fault).size),
        recovery(fault)
      ]
    end

    def heading(fault, title)
      return Line.new(title, fault.outcome, "connections") unless fault.name == :restart

      Line.new(title, "#{seconds(fault.outcome)} s", "away; #{@run.tally.ended_by_restart}")
    end

    def recovery(fault)
      first = @run.batches.first_success(fault)
      if first
        Line.new("  time to recover", "#{seconds(first - fault.began)} s", "until the first new batch had succeeded")
      else
        Line.new("  time to recover", "never", "a success wanted", false, TITLES.fetch(fault.name).first)
      end
    end

    def rest
      others = @run.batches.others
      named = others.keys
      count = others.values.sum
      [Line.new("batches that failed of anything else", count, ["none", *named].join(", not "), count.zero?)]
    end

    def leftovers
      left = @run.leftovers
      lines = [
        none("5 s later: connections idle in transaction", left[:idle_in_transaction]),
        none("5 s later: connections above the pool size", left[:above_size]),
        none("5 s later: leases that nobody gave back", leases)
      ]
      lines.push(*process)
    end

    # Without release it is killed in any case: it may wait for connections that nobody gives back.
    def process
      ending = @run.end_of_consumer
      demanded = @run.poolkeeper? || ending == :died
      demanded ? [Line.new("consumer process", ending, "left when told to", ending == :left)] : []
    end

    def leases
      @run.status.fetch(:leases, {}).sum { |_, (busy, _)| busy }
    end
  end
end
