# frozen_string_literal: true

module Support
  module Stateful
    # Taking connections and using them, as an application does, with a look at what is handed out.
    module Using
      # @param spot [Array(Symbol, Symbol)] role and shard
      # @return [ActiveRecord::ConnectionAdapters::ConnectionPool]
      def pool(spot)
        role, shard = spot
        ActiveRecord::Base.connection_handler.retrieve_connection_pool("ActiveRecord::Base", role: role, shard: shard)
      end

      # Everything that asks ActiveRecord in the block asks there.
      def at(spot, &block)
        role, shard = spot
        ActiveRecord::Base.connected_to(role: role, shard: shard, &block)
      end

      # Takes the connection that stays the present owner's, and uses it.
      def take(spot)
        pool = pool(spot)
        held = pool.active_connection?
        adapter = patiently(pool) { hold(role: spot.first, shard: spot.last) }
        held || pins.include?(spot) ? use(adapter) : handed(adapter, pool)
      end

      # Takes a connection with a raw checkout, and uses it.
      def checkout(spot)
        pool = pool(spot)
        adapter = patiently(pool) { pool.checkout }
        pins.include?(spot) ? use(adapter) : handed(adapter, pool)
      end

      # @return [Object] a connection that was just handed out, found fit for use
      # @raise [Violation]
      def handed(adapter, pool)
        Stateful.violated("handed out with #{adapter.open_transactions} transactions") if adapter.open_transactions != 0
        Stateful.violated("handed out in a transaction") if driver.in_transaction?(adapter)
        Stateful.violated("handed out to another owner") unless adapter.owner.equal?(Thread.current)
        Stateful.violated("handed out from no pool") unless pool.connections.any? { |other| other.equal?(adapter) }
        heal(adapter)
        use(adapter)
      rescue ActiveRecord::ActiveRecordError => e
        Stateful.violated("handed out, and useless: #{e.class}: #{e.message}")
      end

      # @return [Object] the connection, which has answered
      # @raise [Expected] :dead where its server process was ended
      def use(adapter)
        adapter.select_value("SELECT 1")
        adapter
      rescue ActiveRecord::ActiveRecordError
        raise unless wounded?(adapter)

        raise Expected, :dead
      end

      # @return [Boolean] whether it is in no transaction, of ActiveRecord's or of the server's
      def clean?(adapter)
        adapter.open_transactions.zero? && !driver.in_transaction?(adapter)
      end

      # A pool may refuse only where it is full of connections in use.
      #
      # @raise [Expected] :exhausted
      def patiently(pool)
        # Up to 7.0 a checkout that reaps a dead owner's dead connection does not see that it has made room.
        reaping = pool.connections.any? { |adapter| adapter.in_use? && !adapter.owner.alive? }
        yield
      rescue ActiveRecord::ConnectionTimeoutError, Poolkeeper::ConnectionError
        Stateful.violated("refused, with room in the pool: #{pool.stat}") unless reaping || full?(pool)
        raise Expected, :exhausted
      end

      # @return [Exception, nil] what the block raises
      def error_of
        yield
        nil
      rescue ActiveRecord::ActiveRecordError => e
        e
      end

      private

      def full?(pool)
        adapters = pool.connections
        adapters.size == pool.size && adapters.all? { |adapter| adapter.in_use? || lost.key?(adapter) }
      end
    end
  end
end
