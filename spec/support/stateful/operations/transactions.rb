# frozen_string_literal: true

module Support
  module Stateful
    module Operations
      # Transactions: those that end as they should, and those that nobody ends.
      module Transactions
        extend Group

        WRITING = World::SPOTS.select { |role, _| role == :writing }.freeze

        class << self
          # A pool where a block can begin a transaction of its own: what the owner has there is in none, and not dead.
          #
          # @return [Array] its role and shard, and what it keeps for the owner
          def fit(turn)
            spot = turn.spot(WRITING)
            kept = Walk.kept(turn.world.pool(spot), turn.owner.thread)
            fit = turn.world.pins.borrowed?(spot, kept) || kept.nil? ||
                  (turn.world.clean?(kept) && !turn.world.wounded?(kept))
            fit ? [spot, kept] : turn.impossible
          end

          # Done by a fixture, it will be undone.
          def committed(turn, spot, kept, rows)
            turn.world.written.committed(rows) unless turn.world.pins.borrowed?(spot, kept)
          end

          # @return [Integer] rows written
          def write(turn, ending)
            turn.world.written.write
            turn.release if turn.draw.chance?(0.3)
            Models::Item.transaction(requires_new: true) do
              turn.world.written.write
              raise ActiveRecord::Rollback if ending == :inner
            end
            Enumerator.new { |results| results << turn.release }.next if turn.draw.chance?(0.1)
            raise Interruption, "the application's own" if ending == :error
            raise ActiveRecord::Rollback if ending == :outer

            ending == :inner ? 1 : 2
          end

          # Begins a transaction, writes, and goes away.
          def forget(turn, how)
            spot = turn.free_spot
            turn.act do
              adapter = turn.world.take(spot)
              next unless turn.world.clean?(adapter)

              turn.world.reasons[:left_open] += 1
              how == :raw ? adapter.execute("BEGIN") : adapter.begin_transaction(joinable: true, _lazy: how == :lazy)
              turn.world.written.forget(adapter) if spot.first == :writing && how != :lazy
            end
          end
        end

        operation :transaction, weight: 45, may: %i[exhausted] do |turn|
          spot, kept = fit(turn)
          ending = turn.draw.pick(%i[commit commit inner outer error])
          turn.note(ending)
          pool = turn.world.pool(spot)
          written = turn.act do
            turn.world.patiently(pool) do
              turn.world.at(spot) { Models::Item.transaction { write(turn, ending) } }
            end
          rescue Interruption
            nil
          end
          committed(turn, spot, kept, written) if written
        end

        operation :statement, weight: 30, may: %i[exhausted] do |turn|
          spot, kept = fit(turn)
          pool = turn.world.pool(spot)
          turn.act { turn.world.patiently(pool) { turn.world.at(spot) { turn.world.written.write } } }
          committed(turn, spot, kept, 1)
        end

        operation :forget_transaction, weight: 14, may: %i[exhausted dead] do |turn|
          forget(turn, turn.draw.pick(%i[real lazy]))
        end

        # What ActiveRecord knows nothing of.
        operation :forget_raw_transaction, weight: 8, may: %i[exhausted dead],
                                           there: ->(world) { world.driver.tells_transactions? } do |turn|
          forget(turn, :raw)
        end
      end
    end
  end
end
