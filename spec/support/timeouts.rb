# frozen_string_literal: true

require "timeout"

module Support
  # Timeouts that come when an example wants them.
  module Timeouts
    # Has Timeout interrupt the block: its time is over at once, and its raise is held back until the block's thread is
    # where the example wants it.
    #
    # @param due [Queue] into which something is put then
    def with_timeout(due)
      thread = Thread.current
      thread.define_singleton_method(:raise) { |*arguments| due.pop && super(*arguments) }
      Timeout.timeout(0.001) { |_seconds| yield }
    ensure
      due.close
      thread.singleton_class.remove_method(:raise)
    end
  end
end
