# frozen_string_literal: true

module Poolkeeper
  module Observed
    # ActiveRecord starts its reaper when a pool is first asked for, which may be by us, where interrupts are held back.
    # A thread inherits that from whoever starts it, and one that cannot be killed would keep the process from ending.
    module Reaper
      class << self
        # To be asked once ActiveRecord is there.
        def follow(pool)
          reaper = pool.const_get(:Reaper).singleton_class if pool.const_defined?(:Reaper)
          reaper.prepend(self) if reaper&.private_method_defined?(:spawn_thread)
        end
      end

      private

      def spawn_thread(*)
        # To let interrupts in on this thread would let in those that wait.
        Thread.new { Thread.handle_interrupt(Object => :immediate) { super } }.value
      end
    end
  end
end
