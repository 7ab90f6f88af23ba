# frozen_string_literal: true

module Poolkeeper
  module Observed
    # Whose is an open transaction? The three rules by which a release decides.
    module Transactions
      # The method of ActiveRecord's that is on the stack as long as a transaction block runs, on every version.
      BLOCK = "within_new_transaction"
      BLOCK_FRAME = /within_new_transaction'\z/
      # ... and the one while a block has borrowed a connection.
      LEND = "with_connection"
      ACTIVE_RECORD = %r{active_record/connection_adapters/}

      class << self
        # Whether ActiveRecord or the driver knows of an open transaction. A query still under way counts as one: its
        # owner has gone, and the next would read its answer.
        def open?(adapter)
          return true if adapter.open_transactions.positive?

          state = Driver.state(adapter)
          !state.nil? && state != Driver::IDLE && state != Driver::LOST
        end

        # Whether the connection belongs to a test fixture: pinned, locked to a thread, or somewhere in its stack a
        # transaction that blocks may not join. The innermost one alone does not tell.
        def fixture?(adapter, pool)
          pinned?(pool) || (adapter.respond_to?(:pinned) && adapter.pinned) || locked?(pool) || unjoinable?(adapter)
        end

        # Whether a pool lends one connection to everybody, as transactional tests make it do.
        def pinned?(pool)
          pool.instance_variable_get(:@pinned_connection) ? true : false
        end

        # Whether a transaction block runs on this stack, can run on that of the fiber that took the lease, or waits on
        # that of any other fiber: which thread's that is cannot be told, and doing nothing is better than doing harm.
        #
        # Discarding its connection would lose the first half of the block and commit the second in silence.
        def block_alive?(taken_by_fiber)
          return true unless taken_by_fiber.zero? || taken_by_fiber == Owner.fiber

          on_stack?(BLOCK) || suspended?
        end

        # Whether a `with_connection` block that still runs uses the owner's connection of a pool. From 7.2 on a lease
        # that is not sticky says so, whichever fiber the block is on; the stack says it on every version.
        def lent?(pool)
          return true if pool.respond_to?(:connection_lease, true) && !pool.send(:connection_lease).sticky

          on_stack?(LEND)
        end

        # Whether ActiveRecord is at work on a connection or a pool, anywhere on this stack.
        def active_record_on_stack?
          caller_locations.any? { |location| active_record?(location) }
        end

        private

        def on_stack?(method)
          caller_locations.any? { |location| location.base_label == method && active_record?(location) }
        end

        def active_record?(location)
          ACTIVE_RECORD.match?(location.absolute_path || location.path)
        end

        # A walk through the heap, taken only where a transaction is open and nobody on this stack owns it. A fiber that
        # another thread is running at this moment is that thread's business; its stack is the thread's.
        def suspended?
          stacks = ObjectSpace.each_object(Fiber).filter_map { |fiber| stack_with_block(fiber) }
          stacks.any? && (stacks - (Thread.list - [Thread.current]).map(&:backtrace)).any?
        end

        def stack_with_block(fiber)
          return if !fiber.alive? || fiber.equal?(Fiber.current)

          stack = fiber.backtrace
          stack if stack&.any? { |line| BLOCK_FRAME.match?(line) }
        end

        def locked?(pool)
          pool.instance_variable_get(:@lock_thread) ? true : false
        end

        def unjoinable?(adapter)
          stack = adapter.instance_variable_get(:@transaction_manager)&.instance_variable_get(:@stack)
          stack.is_a?(Array) && stack.any? { |transaction| !transaction.joinable? }
        end
      end
    end
  end
end
