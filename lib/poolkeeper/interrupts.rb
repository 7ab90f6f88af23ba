# frozen_string_literal: true

require "timeout"

module Poolkeeper
  # What Timeout and signals raise in a thread from outside. It may arrive wherever no mask holds it back, and is not
  # ours to swallow.
  #
  # @note A `Timeout.timeout(seconds, SomeError)` cannot be told from an error of that class.
  module Interrupts
    # Subclasses are errors of their own, such as Net::ReadTimeout.
    CLASSES = [::Timeout::Error, ::Interrupt, ::SignalException,
               (::Timeout::ExitException if defined?(::Timeout::ExitException))].compact.freeze

    class << self
      def interrupt?(error)
        CLASSES.any? { |type| error.instance_of?(type) }
      end

      # @return [Exception] an error that is no interrupt
      # @raise [Exception] one that is
      def pass(error)
        interrupt?(error) ? raise(error) : error
      end
    end
  end
end
