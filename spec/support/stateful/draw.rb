# frozen_string_literal: true

module Support
  module Stateful
    # The dice of one step: what one step throws does not depend on how often those before it have thrown.
    class Draw
      # @param seed [Integer]
      # @param step [Integer]
      def initialize(seed, step)
        @random = Random.new((seed << 32) | step)
      end

      # @return [Object, nil] one of a list; nil of an empty one
      def pick(list)
        list[@random.rand(list.size)] unless list.empty?
      end

      # @param share [Float] of all throws
      def chance?(share)
        @random.rand < share
      end

      # @return [Float]
      def between(least, most)
        least + (@random.rand * (most - least))
      end

      # @param weighted [Array<#weight>]
      def weighted(list)
        mark = @random.rand(list.sum(&:weight))
        list.find { |one| (mark -= one.weight).negative? }
      end
    end
  end
end
