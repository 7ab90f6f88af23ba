# frozen_string_literal: true

module Support
  module Stateful
    # A pool that a test's fixture has pinned (up to 7.0: locked to its thread): everybody gets its one connection, in a
    # transaction that ends with the test. One at a time.
    class Pins
      # @return [Owner, nil] whose fixture it is
      attr_reader :owner
      # @return [Array(Symbol, Symbol), nil] the pool's role and shard
      attr_reader :spot

      def any?
        !@spot.nil?
      end

      def include?(spot)
        any? && @spot == spot
      end

      # Whether what a thread does in a pool is done on the fixture's connection. One that has taken its own before goes
      # on with that, from 7.1 on.
      #
      # @param kept [Object, nil] the connection that the pool keeps for it
      def borrowed?(spot, kept)
        include?(spot) && (kept.nil? || !kept.respond_to?(:pinned) || kept.pinned)
      end

      # @return [Boolean] whether it is the fixture's connection itself
      def connection?(adapter)
        any? && @connection.equal?(adapter)
      end

      def pin(world, owner, spot)
        pool = world.pool(spot)
        owner.perform { pin_pool(pool, spot, world) }
        @connection = pool.instance_variable_get(:@pinned_connection) || Walk.kept(pool, owner.thread)
        @owner = owner
        @spot = spot
      end

      # What other owners have of the connection goes first, as a test ends its threads before its fixture.
      def unpin(world)
        pool = world.pool(spot)
        (world.owners - [owner]).each { |other| other.perform { pool.release_connection if pool.active_connection? } }
        owner.perform { unpin_pool(pool) }
        @owner = @spot = @connection = nil
      end

      def clear(world)
        unpin(world) if any?
      end

      private

      def pin_pool(pool, spot, world)
        return pool.pin_connection!(true) if pool.respond_to?(:pin_connection!)

        adapter = world.take(spot)
        pool.lock_thread = true
        adapter.begin_transaction(joinable: false, _lazy: false)
      end

      def unpin_pool(pool)
        return pool.unpin_connection! if pool.respond_to?(:unpin_connection!)

        adapter = pool.active_connection?
        adapter.rollback_transaction while adapter.transaction_open?
        pool.lock_thread = false
        pool.release_connection
      end
    end
  end
end
