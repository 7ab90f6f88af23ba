# frozen_string_literal: true

module Support
  module Stateful
    module Operations
      # Taking connections, using them, giving them back.
      module Leases
        extend Group

        operation :hold, weight: 100, may: %i[exhausted dead] do |turn|
          spot = turn.spot
          turn.act { turn.world.take(spot) }
        end

        operation :use, weight: 100, may: %i[dead] do |turn|
          lease = turn.lease
          turn.act { turn.world.use(lease.adapter) }
        end

        operation :checkout, weight: 50, may: %i[exhausted dead] do |turn|
          spot = turn.spot
          adapter = turn.act { turn.world.checkout(spot) }
          turn.owner.taken[adapter] = turn.owner.era unless turn.world.pins.connection?(adapter)
        end

        operation :checkin, weight: 90 do |turn|
          lease = turn.lease
          turn.act { lease.pool.checkin(lease.adapter) }
        end

        operation :release_connection, weight: 35 do |turn|
          pool = turn.world.pool(turn.free_spot)
          turn.act { pool.release_connection }
        end

        operation :release, weight: 130 do |turn|
          Releasing.new(turn).call
        end

        # As often as it takes until one of them walks through the pools; for an owner that needs it, if there is one.
        operation :release_until_walk, weight: 2, may: %i[exhausted dead] do |turn|
          needy = turn.world.owners.find { |owner| turn.free(turn.world.unannounced_to(owner)).any? }
          turn.hand_over(needy) if needy
          spot = turn.free_spot
          turn.act do
            101.times do
              turn.world.take(spot)
              turn.release
            end
          end
          left = turn.free(turn.world.unannounced_to(turn.owner))
          Stateful.violated("#{left.size} leases that nobody announced stay after a walk") if left.any?
        end

        operation :begin_job, weight: 40 do |turn|
          turn.act { Poolkeeper::KarafkaListener.new.on_worker_process(nil) }
          turn.owner.begin_work
        end

        operation :with_connection, weight: 70, may: %i[exhausted dead] do |turn|
          spot = turn.spot
          releasing = turn.draw.chance?(0.3)
          pool = turn.world.pool(spot)
          turn.act do
            held = pool.active_connection?
            turn.world.patiently(pool) do
              pool.with_connection do |adapter|
                held || turn.world.pins.include?(spot) ? turn.world.use(adapter) : turn.world.handed(adapter, pool)
                turn.release if releasing
                turn.world.use(adapter)
                stays = turn.world.pins.include?(spot) || adapter.owner.equal?(Thread.current)
                Stateful.violated("a release has taken what a block had borrowed") unless stays
              end
            end
          end
        end

        operation :wrap, weight: 25, may: %i[exhausted dead] do |turn|
          spot = turn.spot
          turn.owner.begin_work
          turn.act { Poolkeeper.wrap { turn.world.take(spot) } }
          turn.owner.begin_work
        end
      end
    end
  end
end
