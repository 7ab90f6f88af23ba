# frozen_string_literal: true

require "timeout"

module Poolkeeper
  # What Timeout and signals raise in a thread from outside. It may arrive wherever no mask holds it back, and is not
  # ours to swallow.
  #
  # @note A `Timeout.timeout(seconds, SomeError)` cannot be told from an error of that class.
  module Interrupts
    # Subclasses are errors of their own, such as Net::ReadTimeout.
    TIMEOUTS = [::Timeout::Error, (::Timeout::ExitException if defined?(::Timeout::ExitException))].compact.freeze

    class << self
      # Those of a signal may have classes of their own, such as Sidekiq::Shutdown.
      def interrupt?(error)
        error.is_a?(::SignalException) || TIMEOUTS.any? { |type| error.instance_of?(type) }
      end
    end
  end
end
