# frozen_string_literal: true

module Poolkeeper
  module Observed
    # One release of the present owner: everything it holds goes back, in every pool, each pool on its own.
    #
    # Runs in the owner's own thread and fiber; never waits for the network and never connects.
    class Release
      # @return [Exception, nil] an interrupt that arrived in the middle, for whoever called
      attr_reader :interrupt

      # @param leaks [Symbol] :discard, or :report for open transactions that are reported and left
      def initialize(leaks: :discard)
        @leaks = leaks
        @context = Owner.context
        @owner = @context.object_id
      end

      # @param held [Array(Boolean, Array<Integer>)] what {Mirror._held} answered
      # @return [Integer] connections given back or discarded
      def call(held)
        walk_is_due, numbers = held
        if walk_is_due
          Walk.check(@context)
          numbers = held_numbers
        end
        count = release_all(numbers)
        # A release that failed somewhere has ended no piece of work: what is left is not "from before".
        Mirror._released(@owner) unless @failed
        count
      end

      # Drops and gives back only what is condemned and in nobody's use.
      #
      # @return [Integer] connections dropped
      def drop_condemned
        held_numbers.sum { |number| guarded(number) { |adapter, pool| drop(number, adapter, pool) } }
      end

      # Looks at the sockets the owner holds, so that what the core decides is decided about these.
      def settle
        held_numbers.each { |number| guarded(number) { |adapter, _pool| condemned(number, adapter) } }
      end

      private

      def held_numbers
        Mirror._leases(@owner)
      end

      # Each has its turn even where something unwinds through here: Timeout throws, which no rescue sees, and the
      # connection locks of 6.1 and 7.0 let it in whatever mask is set around them.
      def release_all(numbers)
        return 0 if numbers.empty?

        begin
          first = guarded(numbers.first) { |adapter, pool| release(numbers.first, adapter, pool) }
        ensure
          rest = release_all(numbers.drop(1))
        end
        first + rest
      end

      # One pool that raises (checkin callbacks are the application's) must not keep the others from being released.
      def guarded(number)
        adapter = Adapters[number]
        return Mirror._forget(number) || 0 unless adapter

        pool = adapter.pool
        return Mirror._lease_ended(number) || 0 unless mine?(adapter, pool)

        yield adapter, pool
      rescue Exception => e # rubocop:disable Lint/RescueException -- told, and the next pool has its turn
        failed("releasing a connection", e)
        0
      end

      # The connection locks of 6.1 and 7.0 let interrupts in, whatever mask is set around them: a Timeout or a signal
      # that arrives there is kept until the release is done, for it is not ours to swallow.
      def failed(doing, error)
        @failed = true
        return @interrupt ||= error if Interrupts.interrupt?(error)

        Log.rescued(doing, error)
      end

      # The mirror is a cache: leases end without a word, and connections leave their pool.
      def mine?(adapter, pool)
        adapter.owner.equal?(@context) && !pool.discarded? &&
          pool.connections.any? { |other| other.equal?(adapter) }
      end

      def release(number, adapter, pool)
        fiber, from_before, seconds = Mirror._lease(number)
        return keep(number, pool, seconds, "a test's transaction") if Transactions.fixture?(adapter, pool)
        return keep(number, pool, seconds, "taken with checkout before") if raw?(adapter, pool) && from_before

        open = Transactions.open?(adapter)
        return left_in_transaction(pool, seconds) if open && Transactions.block_alive?(fiber)
        return keep(number, pool, seconds, "lent to a block that runs") if lent?(adapter, pool)
        return give_back(number, adapter, pool) unless open

        leak(adapter, pool, seconds)
      end

      # A test's connection, a holder of LISTEN or of an advisory lock, or one that with_connection has lent and will
      # take back: told once, and left alone.
      def keep(number, pool, seconds, reason)
        if Mirror._keep(number)
          count(pool, "kept")
          notify("release.kept", pool, seconds, reason)
        end
        0
      end

      # A connection that ActiveRecord has not kept for its thread: it was taken with `checkout`.
      def raw?(adapter, pool)
        !pool.active_connection?.equal?(adapter)
      end

      def lent?(adapter, pool)
        !raw?(adapter, pool) && Transactions.lent?(pool)
      end

      def left_in_transaction(pool, seconds)
        count(pool, "kept")
        notify("release.in_transaction", pool, seconds)
        0
      end

      # Handing it on would let the next borrower's committed work be undone in silence.
      def leak(adapter, pool, seconds)
        count(pool, "leaked")
        notify("connection.leaked", pool, seconds)
        return 0 unless @leaks == :discard

        count(pool, "discarded")
        notify("connection.discarded", pool, seconds)
        return 0 unless acting?

        Driver.in_process?(adapter) ? roll_back(adapter) : Driver.drop(adapter)
        check_in(adapter, pool)
        1
      end

      # A database in memory would be lost with its connection; and there is no server to wait for.
      def roll_back(adapter)
        adapter.rollback_transaction while adapter.open_transactions.positive?
      end

      def give_back(number, adapter, pool)
        condemned = condemned(number, adapter)
        dropped(pool, condemned) if condemned
        count(pool, "released")
        return reported(number, pool) unless acting?

        Driver.drop(adapter) if condemned
        check_in(adapter, pool)
        1
      end

      def reported(number, pool)
        notify("release.reported", pool, nil) if Mirror._keep(number)
        0
      end

      def drop(number, adapter, pool)
        condemned = condemned(number, adapter)
        return 0 unless condemned && droppable?(number, adapter, pool)

        dropped(pool, condemned)
        return 0 unless acting?

        Driver.drop(adapter)
        # From 7.1 on it connects anew at its next use, in the hands of whoever still refers to it; before, it does not.
        check_in(adapter, pool) unless Driver.lazy?
        1
      end

      # What the mirror knows, or what the driver does: once it has noticed, there is no socket left to look at.
      def condemned(number, adapter)
        return if Driver.in_process?(adapter)

        Mirror._settle(number, Driver.descriptor(adapter)) ||
          ("the driver has lost it" if Driver.lost?(adapter))
      end

      def dropped(pool, reason)
        count(pool, "dropped")
        notify("connection.dropped", pool, nil, reason)
      end

      # Nothing is pulled from under a running job: what a block still uses is left to its release.
      def droppable?(number, adapter, pool)
        fiber, = Mirror._lease(number)
        !Transactions.fixture?(adapter, pool) && !raw?(adapter, pool) && !Transactions.open?(adapter) &&
          !Transactions.block_alive?(fiber) && !lent?(adapter, pool)
      end

      def check_in(adapter, pool)
        raw?(adapter, pool) ? pool.checkin(adapter) : pool.release_connection
        given_back = true
      rescue StandardError, ::SignalException => e
        failed("giving a connection back", e)
      ensure
        Eviction.give_up(pool, adapter) unless given_back
      end

      def count(pool, counter)
        Mirror._count(Pools.number(pool), counter, !acting?)
      end

      def notify(name, pool, seconds, reason = nil)
        Events.tell(name, pool: Pools.number(pool), owner: @owner, seconds: seconds, reason: reason)
      end

      def acting?
        Poolkeeper.config.act?
      end
    end
  end
end
