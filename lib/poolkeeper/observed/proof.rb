# frozen_string_literal: true

module Poolkeeper
  module Observed
    # Proves that a pool gives a connection that answers. For ordinary code: it waits, though never beyond its deadline.
    class Proof
      # Thread#join takes no more; eleven days are as good as for ever.
      LONGEST = 1_000_000
      # Seconds for a thread to end whose socket is shut down.
      FAREWELL = 0.2

      ALONE = "forked in C, and Ruby was not told: no thread can be started here that would keep to a timeout; call " \
              "rb_thread_atfork in the child, or fork by Process.fork"
      private_constant :LONGEST, :FAREWELL, :ALONE

      # @param pool [ActiveRecord::ConnectionAdapters::ConnectionPool]
      # @param writes [Boolean] whether its server has to take writes
      def initialize(pool, writes: false)
        @pool = pool
        @writes = writes
        @adapter = nil
        # From when on the attempt gives its connection back: it may be another's at any time.
        @returning = false
        @turn = Mutex.new
      end

      # @param deadline [Float] on the monotonic clock
      # @raise [ConnectionError] where the pool gives no connection, or one that does not answer in time
      def call(deadline)
        # A checkout would give the fixture's own connection, and its transaction is not ours to end.
        return true if Transactions.pinned?(@pool)
        raise ConnectionError, "#{name}: #{ALONE}" if Background.alone?

        # On a thread of its own, for a checkout that waits cannot be left in order from outside; and one that can be
        # ended, whatever mask the caller has.
        attempt = Thread.new { Thread.handle_interrupt(Object => :immediate) { outcome } }
        conclude(attempt.join((deadline - now).clamp(0, LONGEST)) && attempt.value)
      ensure
        # Also where the caller was interrupted: an attempt that lives on would keep its connection.
        begin
          severed = sever(attempt)
        ensure
          sever(attempt) unless severed
        end
      end

      private

      # @return [true, Exception] that it answered, or why not
      def outcome
        answer
      rescue Exception => e # rubocop:disable Lint/RescueException -- told to whoever waits for it
        e
      end

      def conclude(outcome)
        return true if outcome.equal?(true)

        if outcome
          words = "#{name}: no connection that answers (#{Log.describe(outcome)}); #{numbers}"
          raise ConnectionError, words, cause: outcome
        end

        raise ConnectionError, "#{name}: no answer within the timeout; is the server reachable, and the pool free? " \
                               "#{numbers}"
      end

      def answer
        # Between the checkout and the assignment nothing may come, or nobody would give the connection back.
        Thread.handle_interrupt(Object => :on_blocking) { @adapter = @pool.checkout }
        said = @adapter.select_value(@writes ? Writable.statement(@adapter.adapter_name) : "SELECT 1")
        note(said.to_i.zero?) if @writes
        true
      ensure
        # An interrupt in the checkout may leave us a connection that it has not given us.
        @adapter ||= leased_to(Owner.context)
        give_back if @adapter
      end

      # @param taken [Boolean] whether the server takes writes
      def note(taken)
        # Its socket is made known first: a new one would take the mark with it.
        Mirror._settle(Adapters.enlist(@adapter), Driver.descriptor(@adapter))
        Incidents._writes(Pools.register(@pool), Owner.current, taken)
        raise ReadOnlyError, "the server refuses writes" unless taken
      end

      def give_back
        Thread.handle_interrupt(Object => :never) { @turn.synchronize { @returning = true } }
        Driver.drop(@adapter) unless Driver.state(@adapter).to_i == Driver::IDLE
        @pool.checkin(@adapter)
        given_back = true
      ensure
        Eviction.give_up(@pool, @adapter) unless given_back
      end

      # Our own attempt, so its socket may be shut down: whatever it waits for ends now. In one piece, and without any
      # lock: for want of it the pool may just be stuck.
      def sever(attempt)
        adapter = nil
        Thread.handle_interrupt(Object => :never) do
          attempt.join(FAREWELL) if attempt && Driver.connecting?(attempt)
          next true unless attempt&.alive?

          adapter = @turn.synchronize { cut(attempt) }
          true
        ensure
          attempt&.kill
          take_back(adapter, attempt) if adapter && attempt.join(FAREWELL)
        end
      end

      # @return [Object, nil] the adapter whose socket was shut down
      def cut(attempt)
        return if @returning

        # On 6.1 and 7.0 a checkout already asks the server, before it has given us anything.
        adapter = @adapter || leased_to(attempt)
        Driver.shut_down(adapter) if adapter
        adapter
      end

      def leased_to(owner)
        @pool.instance_variable_get(:@connections).to_a.dup.find { |adapter| adapter.owner.equal?(owner) }
      end

      # Killed in the middle of a checkout, the attempt leaves its connection to nobody. Not by way of `reap`, which
      # would ask the silent server about connections of others.
      def take_back(adapter, attempt)
        left = unless_stuck do
          next unless adapter.owner.equal?(attempt) && @pool.num_waiting_in_queue.zero?

          adapter.steal!
          @pool.remove(adapter)
          true
        end
        Driver.drop(adapter) if left
      end

      # The deadline has passed: the pool's lock is not waited for, and is given back whatever comes.
      def unless_stuck
        Thread.handle_interrupt(Object => :never) do
          next unless @pool.mon_try_enter

          begin
            yield
          ensure
            @pool.mon_exit
          end
        end
      end

      def name
        Pools.registered(Pools.register(@pool)).name
      end

      def numbers
        stat = unless_stuck { @pool.stat } or return "its lock is held by another thread"
        "#{stat[:busy]} of #{stat[:size]} connections busy, #{stat[:waiting]} waiting"
      end

      def now
        ::Process.clock_gettime(::Process::CLOCK_MONOTONIC)
      end
    end
  end
end
