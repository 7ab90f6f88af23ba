# frozen_string_literal: true

module Poolkeeper
  # Reports leases that are older than `leak_threshold`, on the poolkeeper thread. Nothing is done to them.
  #
  # @api private
  module Leaks
    HELD = "held for longer than leak_threshold"
    ENDED = "held for longer than leak_threshold, by an owner that has ended"

    LINE = "a connection was not given back"

    class << self
      # Whether an event is a report from here: that of a transaction which was left open has the same name.
      def report?(event)
        [HELD, ENDED].include?(event.payload[:reason])
      end

      # @param pool [Integer]
      # @param connection [Integer, nil] none where the pool is a native one
      # @param owner [Integer]
      # @param seconds [Float] the lease's age when the core has looked; it may have ended since
      def report(pool, connection, owner, seconds)
        found = connection ? Observed::Stacks.overdue(connection, owner, seconds) : native(pool, owner, seconds)
        return unless found

        stack, ended = found
        Mirror._count(pool, "leaked", false)
        Events.tell("connection.leaked", pool: pool, owner: owner, seconds: seconds, reason: ended ? ENDED : HELD,
                                         stack: Stack.lines(stack))
      end

      private

      def native(number, owner, seconds)
        pool = Pools.numbered(number)
        pool.overdue(owner, seconds) if pool&.stacks?
      end
    end
  end
end
