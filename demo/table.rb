# frozen_string_literal: true

module Demo
  # A table at the end of a run: one line a figure, and beside it what the figure has to be.
  class Table
    # A figure: what it is of, its value, what it must be, whether it is (nil where nothing is demanded), and the
    # heading it stands under.
    Line = Struct.new(:label, :value, :demand, :good, :heading)

    # @param lines [Array<Line>]
    def initialize(lines)
      @lines = lines
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

    # A figure that has to be 0.
    def none(label, value, heading = nil)
      Line.new(label, value, "none", value.zero?, heading)
    end

    def seconds(value)
      format("%.2f", value)
    end
  end
end
