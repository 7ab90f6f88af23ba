# frozen_string_literal: true

module Support
  module Stateful
    module Operations
      # What an application can do to connections and pools behind everybody's back. Leases end here without a callback.
      module Pools
        extend Group

        operation :remove, weight: 7, quiet: true do |turn|
          lease = turn.lease
          turn.act do
            lease.pool.remove(lease.adapter)
            lease.adapter.disconnect!
          end
        end

        operation :throw_away!, weight: 7, quiet: true do |turn|
          lease = turn.lease
          turn.act { lease.adapter.throw_away! }
        end

        operation :reap, weight: 25, quiet: true do |turn|
          pool = turn.world.pool(turn.free_spot)
          turn.act { pool.reap }
          dead = pool.connections.select { |adapter| adapter.in_use? && !adapter.owner.alive? }
          Stateful.violated("#{dead.size} connections stay with the dead") if dead.any?
        end

        operation :flush!, weight: 5, quiet: true do |turn|
          pool = turn.world.pool(turn.free_spot)
          turn.act { pool.flush! }
          idle = pool.connections.reject(&:in_use?)
          Stateful.violated("#{idle.size} connections are idle after all were flushed") if idle.any?
        end

        operation :disconnect!, weight: 4, quiet: true do |turn|
          pool = turn.world.pool(turn.free_spot)
          turn.act { pool.disconnect! }
          Stateful.violated("#{pool.connections.size} connections stay") if pool.connections.any?
        end

        operation :clear_reloadable_connections!, weight: 5, quiet: true do |turn|
          pool = turn.world.pool(turn.free_spot)
          turn.act { pool.clear_reloadable_connections! }
          busy = pool.connections.select(&:in_use?)
          Stateful.violated("#{busy.size} connections are still in use") if busy.any?
        end

        # ActiveRecord keeps the pool where the configuration is the same.
        operation :establish_connection, weight: 3, quiet: true do |turn|
          spot = turn.free_spot
          old = turn.world.pool(spot)
          turn.act { turn.world.replace_pool(spot, 2 + (old.size % 3)) }
          Stateful.violated("the pool is the same") if turn.world.pool(spot).equal?(old)
        end
      end
    end
  end
end
