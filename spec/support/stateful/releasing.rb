# frozen_string_literal: true

module Support
  module Stateful
    # A release, and what has to be left after it.
    class Releasing
      def initialize(turn)
        @turn = turn
        @world = turn.world
        @owner = turn.owner
      end

      # @raise [Violation] where more or less is given back than was to be, or another number is told
      def call
        before = @world.leases(@owner)
        staying = announced(before).select { |lease| stays?(lease) }
        count = @owner.perform { @turn.release }
        @turn.note("gave back #{count} of #{before.size}")
        left = @world.leases(@owner)
        check_transactions(before - left)
        return if same?(announced(left), staying) && count == before.size - left.size

        Stateful.violated("of #{places(before)} were to stay #{places(staying)}; #{count} went, it said, and there " \
                          "are #{places(left)}")
      end

      private

      # Whoever comes next must not find a transaction of somebody else's.
      def check_transactions(given_back)
        open = given_back.reject { |lease| @world.clean?(lease.adapter) }
        Stateful.violated("given back in the middle of a transaction: #{places(open)}") if open.any?
      end

      # What nobody announced is found by a walk only, and it is not always time for one.
      def announced(leases)
        leases.reject { |lease| @world.unannounced.key?(lease.adapter) }
      end

      # A fixture's connections, and those that were taken with `checkout` before the present piece of work.
      def stays?(lease)
        return true if @world.pins.include?(lease.spot)

        taken = @owner.taken[lease.adapter]
        raw = !Walk.kept(lease.pool, @owner.thread).equal?(lease.adapter)
        raw && !taken.nil? && taken < @owner.era
      end

      def same?(some, others)
        some.map { |lease| lease.adapter.object_id }.sort == others.map { |lease| lease.adapter.object_id }.sort
      end

      def places(leases)
        leases.map { |lease| lease.spot.join(" ") }.tally.to_s
      end
    end
  end
end
