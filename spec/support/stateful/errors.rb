# frozen_string_literal: true

module Support
  module Stateful
    # Seconds for what other threads and processes have to do, on a machine that is busy with something else.
    PATIENCE = 20

    # Something that must always hold did not.
    class Violation < StandardError; end

    # An end of an operation that its declaration names, such as :exhausted; no failure.
    class Expected < StandardError
      # @return [Symbol]
      attr_reader :reason

      def initialize(reason)
        @reason = reason
        super("ended: #{reason}")
      end
    end

    # What is raised in an owner from another thread.
    class Interruption < StandardError; end

    def self.violated(text)
      raise Violation, text
    end
  end
end
