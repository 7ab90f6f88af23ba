# frozen_string_literal: true

require_relative "orders"

module Demo
  # The table at the end of a run: one line a figure, and beside it what the figure has to be.
  class Report
    # A figure: what it is of, its value, what it must be, whether it is (nil where nothing is demanded), and the
    # heading it stands under.
    Line = Struct.new(:label, :value, :demand, :good, :heading)
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
      @lines = [*orders, *run.faults.flat_map { |fault| fault_lines(fault) }, *rest, *leftovers]
    end

    # @return [String]
    def to_s
      wide = @lines.map { |line| line.label.length }.max
      value_wide = @lines.map { |line| line.value.to_s.length }.max
      @lines.map { |line| row(line, wide, value_wide) }.join("\n")
    end

    # @return [Array<String>] what is not as it must be
    def failures
      @lines.select { |line| line.good == false }
            .map { |line| "#{[line.heading, line.label.strip].compact.join(": ")}: #{line.value}" }
    end

    private

    def row(line, wide, value_wide)
      verdict = line.good ? "ok" : "FAILED"
      demand = line.good.nil? ? line.demand.to_s : "#{line.demand}: #{verdict}"
      format("  %-#{wide}s  %#{value_wide}s  %s", line.label, line.value, demand).rstrip
    end

    def orders
      rows, met_again, forgotten = @run.rows
      consumed = @run.status[:consumed].to_i
      lines = [
        Line.new("orders in the table, by topic, partition and offset", rows, "#{Orders::COUNT} wanted",
                 rows == Orders::COUNT),
        Line.new("messages delivered again", @run.status[:redelivered].to_i, "#{met_again} were written already"),
        Line.new("rows of the forgotten transaction, committed by somebody else", forgotten, "none", forgotten.zero?)
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
        Line.new("  of those, begun after the first success", late, "none", late.zero?, title),
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
        Line.new("5 s later: connections idle in transaction", left[:idle_in_transaction], "none",
                 left[:idle_in_transaction].zero?),
        Line.new("5 s later: connections above the pool size", left[:above_size], "none", left[:above_size].zero?),
        Line.new("5 s later: leases that nobody gave back", leases, "none", leases.zero?)
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

    def seconds(value)
      format("%.2f", value)
    end
  end
end
