# frozen_string_literal: true

module Support
  module Stateful
    # One step: who acts, where, and the dice.
    class Turn
      # @return [World]
      attr_reader :world
      # @return [Draw]
      attr_reader :draw
      # @return [Owner]
      attr_reader :owner
      # @return [Array<String>] what was chosen, for the history
      attr_reader :notes

      def initialize(world, draw)
        @world = world
        @draw = draw
        @owner = draw.pick(world.owners)
        @notes = ["owner #{@owner.number}"]
        @cut = nil
      end

      # @param owner [Owner] who acts instead of the one that was thrown
      def hand_over(owner)
        @owner = owner
        note("rather owner #{owner.number}")
      end

      # An operation for which there is nothing to do now says so before it does anything.
      def impossible
        throw(:impossible)
      end

      # @return [Object] the value, if there is one
      def need(value)
        value || impossible
      end

      def note(text)
        @notes << text.to_s
      end

      # @return [Object] the block's value, on the owner's thread
      def act(&work)
        owner.perform(&work)
      end

      # @return [Array(Symbol, Symbol)] a role and a shard
      def spot(among = World::SPOTS)
        draw.pick(among).tap { |spot| note(spot.join(" ")) }
      end

      # @return [Array(Symbol, Symbol)] a pool that no fixture has pinned
      def free_spot(among = World::SPOTS)
        spot(among.reject { |spot| world.pins.include?(spot) })
      end

      # Not one that nobody announced: the checkout that was cut off has returned nothing.
      #
      # @return [Walk::Connection] one of the owner's leases, of a pool that no fixture has pinned
      def lease(&only)
        leases = free(world.leases(owner)).reject { |lease| world.unannounced.key?(lease.adapter) }
        leases = leases.select(&only) if only
        need(draw.pick(leases)).tap { |lease| note(lease) }
      end

      # @return [Array<Walk::Connection>] those of pools that no fixture has pinned
      def free(connections)
        connections.reject { |connection| world.pins.include?(connection.spot) }
      end

      # On the owner's thread: it gives back what it holds, and its next piece of work begins.
      def release
        Poolkeeper.release.tap { owner.begin_work }
      end

      # Whose fixture is under way cannot be stopped in the middle.
      def mortal_owner
        impossible if world.pins.owner.equal?(owner)
        owner
      end

      # An interrupt has cut ActiveRecord's checkout in two, for this thread: nobody may have announced its lease.
      def cut(thread)
        @cut = thread
      end

      def cut?(thread)
        @cut.equal?(thread)
      end
    end
  end
end
