# frozen_string_literal: true

module Support
  module Stateful
    # Work that is going to be interrupted, nobody knows where. A connection is given back by Poolkeeper alone: what an
    # interrupt does to ActiveRecord's own checkin is ActiveRecord's. And nothing has to connect: where that is
    # interrupted, pg keeps the socket for ever, and so does mysql2 from 0.5.5 on.
    class Work
      ROUNDS = 50

      def initialize(turn, owner)
        @world = turn.world
        @owner = owner
        @turn = turn
        @spot = turn.spot(turn.need(connected))
        @slow = turn.draw.chance?(0.3)
        @kinds = Array.new(4) { turn.draw.pick(kinds) }
      end

      # On the owner's thread.
      def call
        ROUNDS.times { |round| one(@kinds[round % @kinds.size]) }
      rescue Expected
        # The pool is full, or what it holds is dead: there is nothing to interrupt any more.
        nil
      end

      # Once it is over: what the interrupt may have done is taken into account.
      def interrupted
        thread = @owner.thread
        left = @world.connections.select { |connection| connection.owner.equal?(thread) }
        left.each { |connection| @world.wound(connection.adapter) }
        @world.reasons[:left_open] += 2 + left.size
        @world.reasons[:deaths] += 1 + left.size if @world.driver.fragile?
        left.each { |connection| note_checkout(connection) } if thread.alive?
        return unless @owner.phase == :taking

        @turn.cut(thread)
        excuse_lost
      end

      private

      # Where a BEGIN is cut off, the server is in a transaction and ActiveRecord is not: a limit where no driver tells.
      def kinds
        @world.driver.tells_transactions? ? %i[hold hold checkout transaction] : %i[hold hold checkout]
      end

      # @return [Array, nil] the pools with idle connections that are all open and fit for use
      def connected
        idle = @world.connections.reject(&:leased?)
        spots = World::SPOTS.select do |spot|
          there = idle.select { |connection| connection.spot == spot }.map(&:adapter)
          there.any? && !@world.pins.include?(spot) && there.all? { |adapter| sound?(adapter) }
        end
        spots if spots.any?
      end

      def sound?(adapter)
        !Sockets.closing?(@world.driver.socket(adapter)) && @world.clean?(adapter)
      end

      def one(kind)
        @owner.phase = :taking
        adapter = take(kind)
        @owner.phase = :using
        use(adapter, kind)
        @owner.phase = :releasing
        @turn.release
        @owner.forget_returned
      end

      # What it holds already may be dead, or in a transaction.
      def take(kind)
        held = @world.pool(@spot).active_connection?
        raise Expected, :dead if held && !sound?(held)

        kind == :checkout ? @world.pool(@spot).checkout : @world.hold(role: @spot.first, shard: @spot.last)
      rescue ActiveRecord::ConnectionTimeoutError
        raise Expected, :exhausted
      end

      def use(adapter, kind)
        if kind == :transaction && @spot.first == :writing
          @world.at(@spot) { Models::Item.transaction { @world.written.try } }
        else
          adapter.select_value(@slow ? @world.driver.sleep(0.002) : "SELECT 1")
        end
      rescue ActiveRecord::ActiveRecordError
        raise unless @world.wounded?(adapter)

        raise Expected, :dead
      end

      # Nobody has what an interrupt has left, but it was taken in this piece of work.
      def note_checkout(connection)
        kept = Walk.kept(connection.pool, @owner.thread).equal?(connection.adapter)
        @owner.taken[connection.adapter] ||= @owner.era unless kept
      end

      # Popped from its pool's queue, and not leased yet: ActiveRecord has lost that slot.
      def excuse_lost
        Walk.pools(@world).each do |pool|
          idle = pool.connections.reject(&:leased?).map(&:adapter)
          idle.reject { |adapter| pool.queue.include?(adapter) }.each { |adapter| @world.lost[adapter] = true }
        end
      end
    end
  end
end
