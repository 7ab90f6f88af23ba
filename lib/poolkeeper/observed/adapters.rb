# frozen_string_literal: true

module Poolkeeper
  module Observed
    # Adapters and their numbers. The core knows only the numbers, and nobody here keeps an adapter alive.
    module Adapters
      NUMBER = :@poolkeeper_number

      @by_number = ObjectSpace::WeakMap.new

      class << self
        # @return [Integer, nil] the number of an adapter that has been met before
        def number(adapter)
          adapter.instance_variable_get(NUMBER)
        end

        # @return [Integer] the number of an adapter, which it gets now if it has none
        def enlist(adapter)
          number(adapter) || enlist_anew(adapter)
        end

        # For an adapter whose number the mirror does not know (any more).
        def enlist_anew(adapter)
          Background.ensure_running
          Reconnect.follow(adapter)
          Begun.follow(adapter)
          number = Mirror._enlist(Pools.register(adapter.pool))
          @by_number[number] = adapter
          adapter.instance_variable_set(NUMBER, number)
        end

        # Takes their numbers from all adapters: the next look at each enlists it.
        def strike_off
          everyone.each { |adapter| adapter.remove_instance_variable(NUMBER) if number(adapter) }
        end

        # @return [Array] the pools that hold adapters we have met: some are in no handler that this thread knows of
        def pools
          @by_number.values.map(&:pool).uniq.select do |pool|
            # Not `connections`: it takes the pool's lock, and whoever asks may hold another's.
            pool.respond_to?(:checkout) && pool.instance_variable_get(:@connections)&.any?
          end
        end

        # @return [Array<Array(Integer, Integer)>] descriptor and identity of each connection's socket
        def sockets
          everyone.filter_map { |adapter| Driver.identity(adapter) }
        end

        # Takes the drivers of all connections away, without a word to the server, where the next use connects anew. Up
        # to 7.0 it does not, and ActiveRecord looks at the pid by itself.
        def discard
          everyone.each { |adapter| adapter.discard! if Driver.lazy? && !Driver.in_process?(adapter) }
        end

        # @return [Array] those we have met that are still there
        def all
          @by_number.values
        end

        # Whether an adapter is (still) of its pool. No lock is taken.
        def pooled?(adapter)
          pool = adapter.pool
          return false if !pool.respond_to?(:discarded?) || pool.discarded?

          pool.instance_variable_get(:@connections).to_a.any? { |other| other.equal?(adapter) }
        end

        # @return [Object, nil] the adapter with a number, unless it is gone
        def [](number)
          @by_number[number]
        end

        private

        # Those we have met and those in one pool with them. No lock is taken: in a forked child it may be locked for
        # ever.
        def everyone
          met = @by_number.values
          met | met.flat_map { |adapter| adapter.pool.instance_variable_get(:@connections).to_a }
        end
      end
    end
  end
end
