# frozen_string_literal: true

module Support
  module Stateful
    module Operations
      # Server processes end, and errors are verified.
      module Faults
        extend Group

        # At once; after a tidy where an interrupt has kept its socket from being shown.
        def self.await_eviction(victim)
          number = Mirror.number(victim.adapter)
          told = lambda do
            "#{victim} is evicted; #{Poolkeeper::Mirror._condemned(number) || "not condemned"}, #{victim.pool.stat}, " \
              "lease: #{Poolkeeper::Mirror._lease(number).inspect}"
          end
          Support.wait_until(timeout: PATIENCE, message: told) do
            victim.pool.connections.none? { |adapter| adapter.equal?(victim.adapter) }
          end
        end

        operation :kill_idle_backend, weight: 6 do |turn|
          idle = turn.free(turn.world.connections).reject(&:leased?)
          victim = turn.need(turn.draw.pick(idle.select { |one| turn.world.driver.backend(one.adapter) }))
          turn.note(victim)
          turn.world.terminate(victim)
          next unless turn.draw.chance?(0.5)

          await_eviction(victim)
        end

        operation :kill_backend, weight: 6 do |turn|
          victim = turn.lease { |lease| turn.world.driver.backend(lease.adapter) }
          turn.world.wound(victim.adapter)
          turn.world.terminate(victim)
        end

        # The error of a dead connection, as a job meets it.
        operation :verify_dead, weight: 8, may: %i[exhausted dead] do |turn|
          spot = turn.free_spot
          adapter = turn.act { turn.world.take(spot) }
          victim = turn.world.connections.find { |one| one.adapter.equal?(adapter) }
          turn.world.wound(adapter)
          turn.world.terminate(victim)
          error = turn.act { turn.world.error_of { adapter.select_value("SELECT 1") } }
          Stateful.violated("a dead connection has answered") unless error
          # Its error may be put down to another connection of its pool: one more that may be replaced.
          turn.world.reasons[:deaths] += 1
          found = turn.act { Poolkeeper.verify(error) }
          Stateful.violated("#{error.class}: #{error.message} is #{found.inspect}") unless found&.fault == :dead
          turn.note("dropped #{found.dropped}")
        end

        operation :verify_own_error, weight: 14, may: %i[exhausted dead] do |turn|
          spot = turn.free_spot
          found = turn.act do
            adapter = turn.world.take(spot)
            error = turn.world.error_of { adapter.select_value("SELECT nonsense FROM nowhere") }
            # PostgreSQL goes no further in a transaction with an error in it.
            turn.world.wound(adapter) unless turn.world.clean?(adapter)
            [error, Poolkeeper.verify(error)]
          end
          Stateful.violated("#{found.first.inspect} is #{found.last.inspect}") unless found.last.nil?
        end

        operation :verify_nothing, weight: 20 do |turn|
          found = turn.act { Poolkeeper.verify }
          Stateful.violated("nothing is #{found.inspect}") unless found && found.fault.nil?
        end

        operation :verify!, weight: 3, may: %i[exhausted] do |turn|
          spot = turn.spot
          pool = turn.world.pool(spot)
          turn.act { turn.world.patiently(pool) { Poolkeeper.verify!(pool, timeout: 2) } }
        end
      end
    end
  end
end
