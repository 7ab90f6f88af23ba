# frozen_string_literal: true

module Support
  module Stateful
    module Operations
      # A transactional fixture begins and ends. In between, everything that a test may do goes on around it.
      module Pinning
        extend Group

        operation :pin, weight: 10, may: %i[exhausted] do |turn|
          turn.impossible if turn.world.pins.any?
          spot = turn.spot
          kept = Walk.kept(turn.world.pool(spot), turn.owner.thread)
          turn.impossible unless kept.nil? || (turn.world.clean?(kept) && !turn.world.wounded?(kept))
          turn.world.patiently(turn.world.pool(spot)) { turn.world.pins.pin(turn.world, turn.owner, spot) }
        end

        operation :unpin, weight: 20 do |turn|
          turn.impossible unless turn.world.pins.any?
          turn.world.pins.unpin(turn.world)
        end
      end
    end
  end
end
