# frozen_string_literal: true

module Poolkeeper
  module Observed
    # Takes idle connections out of their pool and closes them. A busy connection is never touched.
    module Eviction
      class << self
        # Evicts a connection if it is idle and condemned; else nothing happens, and whoever comes first drops it.
        #
        # @return [Boolean] whether it was evicted
        def evict(number)
          adapter = Adapters[number]
          return false unless adapter

          reason = Mirror._condemned(number)
          reason && take(adapter.pool, adapter) { count(adapter, number, reason) } ? true : false
        end

        # Evicts every idle condemned connection of a pool.
        #
        # @return [Integer] how many
        def sweep(pool)
          return 0 if pool.discarded?

          settle(pool)
          numbers = pool.connections.reject(&:in_use?).map { |adapter| Adapters.enlist(adapter) }
          numbers.count { |number| evict(number) }
        end

        # Closes every idle connection of a pool, healthy ones too: before a fork the parent keeps none for nothing.
        #
        # @return [Integer] how many
        def close_idle(pool)
          return 0 if pool.discarded?

          pool.connections.reject(&:in_use?).count { |adapter| take(pool, adapter) { true } }
        end

        # Ends a lease that the pool has not taken back: a checkin callback raised, or an interrupt came in the middle.
        # The slot must not be lost: the connection leaves the pool, unless somebody waits, for whom `remove` would
        # connect on this thread; then it is checked in again.
        def give_up(pool, adapter)
          whole(pool, -> { take_away(pool, adapter) }) { Driver.drop(adapter) }
        end

        private

        # Leased and removed inside one synchronize, for a connection that is leased but still in the queue would be
        # lent to the next checkout, which then fails. Not while somebody waits: `remove` would connect for him, here.
        # Not in a pool with a pinned connection.
        # And in one piece: an interrupt in the middle would leave it leased to nobody.
        def take(pool, adapter)
          wanted = -> { idle?(pool, adapter) && yield && Poolkeeper.config.act? && remove(pool, adapter) }
          whole(pool, wanted) do
            Driver.drop(adapter)
            Mirror._forget(Adapters.number(adapter)) if Adapters.number(adapter)
            true
          end
        end

        # Does the first part under the pool's lock, and the block after it where that says so. No interrupt comes in
        # between: the locks of 6.1 and 7.0 let them in, so they are held back within once more.
        def whole(pool, locked)
          Thread.handle_interrupt(Object => :never) do
            done = pool.synchronize { Thread.handle_interrupt(Object => :never) { locked.call } }
            done ? yield : false
          end
        end

        # @return [Boolean] whether the connection has left the pool
        def take_away(pool, adapter)
          # It did go back, and somebody else has it by now.
          return false if adapter.in_use? && !adapter.owner.equal?(Owner.context)
          return remove(pool, adapter) if pool.num_waiting_in_queue.zero?

          adapter.lease unless adapter.in_use?
          pool.checkin(adapter)
          false
        end

        def idle?(pool, adapter)
          !pool.discarded? && !Transactions.pinned?(pool) && !Driver.in_process?(adapter) &&
            pool.num_waiting_in_queue.zero? && !adapter.in_use? &&
            pool.connections.any? { |other| other.equal?(adapter) }
        end

        def remove(pool, adapter)
          adapter.lease unless adapter.in_use?
          pool.remove(adapter)
          true
        end

        def count(adapter, number, reason)
          # Its mark may have gone since, with its socket.
          return false unless Mirror._condemned(number)
          # A connection that nobody evicts comes by at each walk.
          return false unless Poolkeeper.config.act? || Mirror._report(number)

          pool = Pools.number(adapter.pool)
          Mirror._count(pool, "evicted", !Poolkeeper.config.act?)
          Events.tell("connection.evicted", pool: pool, reason: reason)
          true
        end

        def settle(pool)
          Pools.register(pool)
          pool.synchronize do
            next if pool.discarded?

            pool.connections.reject(&:in_use?).each do |adapter|
              Mirror._settle(Adapters.enlist(adapter), Driver.descriptor(adapter))
            end
          end
        end
      end
    end
  end
end
