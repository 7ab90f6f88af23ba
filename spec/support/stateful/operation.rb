# frozen_string_literal: true

module Support
  module Stateful
    # Something that a step can do.
    class Operation
      # @return [Symbol]
      attr_reader :name
      # @return [Numeric] how often, beside the others
      attr_reader :weight
      # @return [Boolean] whether leases may end in it without a word to the mirror
      attr_reader :quiet
      # @return [Boolean] whether the mirror has to be free of such leases after it
      attr_reader :tidies

      # @param may [Array<Symbol>] the reasons for which it may end early
      # @param there [#call] whether there is such a thing here, in a world
      # @yieldparam turn [Turn]
      def initialize(name, weight:, may: [], quiet: false, tidies: false, there: ->(_world) { true }, &body)
        @name = name
        @weight = weight
        @may = may
        @quiet = quiet
        @tidies = tidies
        @there = there
        @body = body
      end

      def there?(world)
        @there.call(world)
      end

      # @return [Symbol] how it ended
      def call(turn)
        @body.call(turn)
        :fine
      rescue Expected => e
        raise unless @may.include?(e.reason)

        e.reason
      end
    end

    # A module of operations: each is declared with its weight and with the ways in which it may end.
    module Group
      # @return [Array<Operation>]
      def operations
        @operations ||= []
      end

      # @see Operation#initialize
      def operation(name, **options, &body)
        operations << Operation.new(name, **options, &body)
      end
    end
  end
end
