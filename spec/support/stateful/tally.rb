# frozen_string_literal: true

module Support
  module Stateful
    # How often each operation ran, and how it ended.
    class Tally
      CHANCE = 2

      # @param operations [Array<Operation>]
      def initialize(operations)
        @operations = operations
        @ends = operations.to_h { |operation| [operation.name, Hash.new(0)] }
        @seconds = Hash.new(0.0)
      end

      # @param seconds [Float] that it took
      def add(operation, ending, seconds)
        @ends.fetch(operation.name)[ending] += 1
        @seconds[operation.name] += seconds
      end

      # @param steps [Integer]
      # @raise [Violation] where an operation ran too seldom to say anything
      def check(steps)
        scarce = @operations.select { |operation| fine(operation) < least(operation, steps) }
        return if scarce.empty?

        said = scarce.map { |one| "#{one.name} #{fine(one)} times, and not #{least(one, steps)}" }
        Stateful.violated("not often enough in #{steps} steps: #{said.join("; ")}")
      end

      # @return [String] the table, with the minimum of each
      def to_s(steps)
        @operations.map do |operation|
          ends = @ends.fetch(operation.name)
          others = ends.except(:fine).map { |ending, count| "#{ending} #{count}" }.join(", ")
          format("%<name>-30s %<fine>6d times, at least %<least>d; %<mean>.1f ms each; %<others>s",
                 name: operation.name, fine: ends[:fine], least: least(operation, steps), others: others,
                 mean: @seconds[operation.name] / ends.values.sum.clamp(1, nil) * 1_000).delete_suffix("; ")
        end.join("\n")
      end

      private

      def fine(operation)
        @ends.fetch(operation.name)[:fine]
      end

      # A fifth of what its weight makes likely, for often there is nothing to do for it; less what chance may take of a
      # few: of the four that 5,000 steps have of the rarest it leaves one in eleven times, and none in fifty.
      def least(operation, steps)
        ((steps * operation.weight / @operations.sum(&:weight) / 5) - CHANCE).floor.clamp(0, nil)
      end
    end
  end
end
