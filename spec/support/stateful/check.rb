# frozen_string_literal: true

module Support
  module Stateful
    # What must hold after every step.
    class Check
      # @param world [World]
      # @param messages [Messages]
      def initialize(world, messages)
        @world = world
        @messages = messages
        @counters = Counters.new
        @stale = []
        @learnt = 0
      end

      # @return [Hash{Symbol => Integer}] what Poolkeeper has counted since the start
      def totals
        @counters.totals
      end

      # @param operation [Operation] what was just done
      # @param turn [Turn]
      # @raise [Violation]
      def call(operation, turn)
        pools = Walk.pools(@world)
        pools.each { |pool| check_pool(pool) }
        connections = pools.flat_map(&:connections)
        check_owners(connections)
        check_mirror(connections, operation, turn)
        present = {}.compare_by_identity
        connections.each { |connection| present[connection.adapter] = true }
        check_counters(present)
        @world.forget(present)
      end

      private

      def check_pool(pool)
        size = pool.pool.size
        Stateful.violated("#{pool.connections.size} connections in a pool of #{size}") if pool.connections.size > size
        check_queue(pool) unless @world.pins.include?(pool.spot)
      end

      # No slot is ever lost: what nobody has is in the queue, once, and nothing else is.
      def check_queue(pool)
        idle = pool.connections.reject(&:leased?).map(&:adapter)
        missing = idle.reject { |adapter| pool.queue.one? { |other| other.equal?(adapter) } }
        extra = pool.queue.reject { |adapter| idle.any? { |other| other.equal?(adapter) } }
        missing.reject! { |adapter| @world.lost.key?(adapter) }
        return if missing.empty? && extra.empty?

        Stateful.violated("of #{pool.spot}: #{missing.size} idle connections are not in the queue of their pool, and " \
                          "#{extra.size} in it are not idle")
      end

      def check_owners(connections)
        twice = connections.group_by { |connection| connection.adapter.object_id }.values.find { |same| same.size > 1 }
        Stateful.violated("a connection is in two places: #{twice.map(&:spot)}") if twice
        threads = @world.owners.map(&:thread)
        connections.select(&:leased?).each do |connection|
          owner = connection.owner
          next if threads.include?(owner) || !owner.alive?

          Stateful.violated("#{connection.spot} has lent to #{owner.inspect}, who is no owner")
        end
        check_kept
      end

      # What a pool keeps for a thread is that thread's: else two would use it.
      def check_kept
        @world.owners.product(World::SPOTS).each do |owner, spot|
          next if @world.pins.include?(spot)

          kept = Walk.kept(@world.pool(spot), owner.thread)
          next if kept.nil? || kept.owner.equal?(owner.thread)

          Stateful.violated("#{spot} keeps for owner #{owner.number} a connection of #{kept.owner.inspect}")
        end
      end

      # A lease that the mirror lacks is a defect. One it has too many is not, where it ended without a word: it is
      # dropped when looked at.
      def check_mirror(connections, operation, turn)
        mirrored = Mirror.leases(@world.owners.map { |owner| owner.thread.object_id })
        leased = connections.select(&:leased?)
        missing = leased.reject { |connection| mirrored.include?(connection.pair) }
        check_missing(missing, turn)
        @learnt += @world.unannounced.size
        @world.unannounced.select! { |adapter, _| missing.any? { |connection| connection.adapter.equal?(adapter) } }
        @learnt -= @world.unannounced.size
        check_stale(mirrored - leased.map(&:pair), operation, turn)
      end

      def check_missing(missing, turn)
        missing.each do |connection|
          next if @world.unannounced.key?(connection.adapter)
          next @world.unannounced[connection.adapter] = true if turn.cut?(connection.owner)

          Stateful.violated("the mirror lacks the lease of #{connection.spot} to #{connection.owner.inspect}")
        end
      end

      def check_stale(stale, operation, turn)
        alive = @world.owners.map { |owner| owner.thread.object_id }
        new = stale - @stale
        @stale = stale
        turn.note("stale: #{told(new)}") if new.any?
        wrong = operation.tidies ? stale : new.select { |_, owner| alive.include?(owner) && !operation.quiet }
        Stateful.violated("the mirror has leases that nobody has: #{told(wrong)}") if wrong.any?
      end

      def told(pairs)
        threads = @world.owners.to_h { |owner| [owner.thread.object_id, "owner #{owner.number}"] }
        places = @world.connections.to_h { |connection| [Mirror.number(connection.adapter), connection.spot.join(" ")] }
        pairs.map do |connection, owner|
          "#{connection} (#{places[connection] || "in no pool"}) of #{threads[owner] || "the dead #{owner}"}"
        end.join(", ")
      end

      # Repair does no harm: nothing is replaced without a reason, and nothing is found only by a walk that had not been
      # cut off by an interrupt.
      def check_counters(present)
        added = @counters.look
        @learnt += @world.unannounced.count { |adapter, _| !present.key?(adapter) }
        if added[:mirror_misses] > @learnt
          Stateful.violated("the mirror has missed #{added[:mirror_misses]} leases; lent without a word: #{@learnt}")
        end
        @learnt -= added[:mirror_misses]
        check_harm
        check_messages
      end

      def check_harm
        replaced = totals[:evicted] + totals[:dropped]
        deaths, left_open = @world.reasons.values_at(:deaths, :left_open)
        Stateful.violated("#{replaced} evicted or dropped for #{deaths} deaths") if replaced > deaths
        return if totals[:discarded] <= left_open

        Stateful.violated("#{totals[:discarded]} discarded for #{left_open} transactions left open")
      end

      def check_messages
        lines = @messages.take.reject { |line| line.include?("was lent without a word") }
        Stateful.violated("logged: #{lines.join("; ")}") if lines.any?
      end
    end
  end
end
