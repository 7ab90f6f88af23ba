# frozen_string_literal: true

module Support
  module Stateful
    # A full walk through ActiveRecord's pools, with nothing of Poolkeeper's in it.
    module Walk
      # One connection in its pool, and whose it is.
      Connection = Struct.new(:spot, :pool, :adapter, :owner) do
        def leased?
          !owner.nil?
        end

        def to_s
          "connection #{Mirror.number(adapter)} of #{spot.join(" ")}"
        end

        # What the mirror has to say of it.
        def pair
          [Mirror.number(adapter), owner.object_id]
        end
      end

      # One pool with its connections and those that wait in its queue, all of one moment.
      Pool = Struct.new(:spot, :pool, :connections, :queue)

      module_function

      # @return [Array<Pool>]
      def pools(world)
        World::SPOTS.map { |spot| pool(spot, world.pool(spot)) }
      end

      # @return [Object, nil] the connection that a pool keeps for a thread
      def kept(pool, thread)
        leases = pool.instance_variable_get(:@leases)
        leases ? leases[thread].connection : pool.instance_variable_get(:@thread_cached_conns)[thread]
      end

      def pool(spot, pool)
        pool.synchronize do
          connections = pool.connections.map { |adapter| Connection.new(spot, pool, adapter, adapter.owner) }
          Pool.new(spot, pool, connections, pool.instance_variable_get(:@available).instance_variable_get(:@queue).dup)
        end
      end
      private_class_method :pool
    end
  end
end
