# frozen_string_literal: true

# Helpers of the specs, of `rake bench` and of `bin/demo`. Plain Ruby: nothing here knows RSpec.
module Support
  # Raised when a condition did not come true in time.
  class DeadlineError < StandardError; end

  # @return [Float] seconds on a clock that nobody sets
  def self.now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end

  # Waits until the block is true.
  #
  # @example
  #   Support.wait_until(message: "the backend went away") { node.backends.empty? }
  #
  # @param timeout [Numeric] seconds
  # @param message [String, #call] what was awaited; called only when the deadline has passed, so it may be costly
  # @param interval [Numeric] seconds between two looks
  # @return [Object] the block's value
  # @raise [DeadlineError] when the block is still false at the deadline
  def self.wait_until(timeout: 5, message: "the condition", interval: 0.005)
    deadline = now + timeout
    loop do
      # Read before the look: a thread that got no time for seconds must not miss what came true meanwhile.
      late = now >= deadline
      value = yield
      return value if value

      raise DeadlineError, "not within #{timeout} s: #{message.respond_to?(:call) ? message.call : message}" if late

      sleep(interval)
    end
  end
end
