# frozen_string_literal: true

module Poolkeeper
  # The bodies of {Poolkeeper}'s calls, and the promise that a handler never raises.
  #
  # @api private
  module Handler
    class << self
      # Runs a block that must not raise, whatever it meets. An interrupt from outside (Timeout, Thread#kill, a signal)
      # is not ours to swallow: it is held back until the block is done, which never waits.
      def call(doing, otherwise)
        Thread.handle_interrupt(Object => :never) do
          yield
        rescue Exception => e # rubocop:disable Lint/RescueException -- one that escapes kills a Karafka worker
          # The connection locks of 6.1 and 7.0 let interrupts in, whatever mask is set around them.
          raise if Interrupts.interrupt?(e)

          Log.rescued(doing, e)
          otherwise
        end
      end

      # @param held [Array, false, nil] what {Mirror._held} answered: nil where nothing is held. No block may stand in
      #   here: its variables would double the price of releasing nothing.
      def release(leaks, held = (unasked = true))
        # Not as the default itself: what it raises would be beyond the rescue.
        held = Mirror._held(Owner.current) if unasked
        begin
          observed = held.nil? ? 0 : release_held(leaks, held)
        ensure
          # Also where an interrupt comes out of the other.
          native = Pools.release
        end
        observed + native
      rescue InternalError => e
        Log.rescued("releasing", e)
        0
      end

      def verify(error)
        call("verifying", nil) do
          started = now
          native = Fault.native(error)
          next told_by_native(native, now - started) if native

          fault = Fault.of(error)
          # Not `error.nil?`: whatever it is, it need not answer.
          next if fault.nil? && !nil.equal?(error)

          news = told_before?(error) ? nil : fault
          pools, condemned, dropped = Observed.start ? repair(news, error) : [[], 0, 0]
          Verification.new(fault: fault, pools: pools, condemned: condemned, dropped: dropped, seconds: now - started)
        end
      end

      def prove(pools, timeout)
        unless timeout.is_a?(Numeric) && timeout.real? && !timeout.to_f.nan?
          raise ArgumentError, "timeout takes seconds, and was given #{Log.describe(timeout)}"
        end

        started = now
        Observed.start
        pools = pools.empty? ? [*all_pools, *Pools.all] : pools.map { |pool| pool_of(pool) }
        dropped = pools.sum { |pool| pool.is_a?(Pool) ? pool.sweep : Observed::Eviction.sweep(pool) }
        pools.each { |pool| prove_one(pool, started + timeout) }
        Verification.new(fault: nil, pools: names(pools), condemned: 0, dropped: dropped, seconds: now - started)
      end

      def stats
        # Asking for the pools would load ActiveRecord where it has not been used yet.
        pools = Observed.observing? ? all_pools.to_h { |pool| [Observed::Pools.number(pool), pool] } : {}
        Mirror._stats.to_h do |known|
          number = known.delete(:number)
          native = Pools.numbered(number)
          own = native ? native.stats : numbers(pools[number], known[:leases].size)
          [known.delete(:name), known.merge(own)]
        end
      end

      # @return [Hash{Integer => Object}] those of the pools with these numbers that are there, native or ActiveRecord's
      def numbered(numbers)
        observed = Observed.observing? ? all_pools.to_h { |pool| [Observed::Pools.number(pool), pool] } : {}
        numbers.to_h { |number| [number, Pools.numbered(number) || observed[number]] }.compact
      end

      # What is held from now on belongs to the present piece of work, and what was held before does not.
      def begin_work
        call("noting the begin of work", nil) { Mirror._begin(Owner.current) }
      end

      # Closes what a process that forks holds for nothing. Interrupts are held back for that, and not while it waits.
      def close_idle
        closed = call("closing idle connections", 0) do
          native = Pools.all.sum(&:_close_idle)
          Observed.start ? native + all_pools.sum { |pool| Observed::Eviction.close_idle(pool) } : native
        end
        Pools.await_closed_files
        closed
      rescue InternalError => e
        Log.rescued("closing idle connections", e)
        closed
      end

      private

      def prove_one(pool, deadline)
        pool.is_a?(Pool) ? pool.send(:prove, deadline) : Observed::Proof.new(pool).call(deadline)
      end

      # The pool has acted on it where it happened.
      def told_by_native(error, seconds)
        Verification.new(fault: error.fault, pools: [error.pool], condemned: 0, dropped: 0, seconds: seconds)
      end

      # `held` is false as long as nothing is observed: ActiveRecord may have come since.
      def release_held(leaks, held)
        release = nil
        count = call("releasing", 0) do
          next 0 unless Observed.start && (held ||= Mirror._held(Owner.current))

          Background.ensure_running
          release = Observed::Release.new(leaks: leaks)
          release.call(held)
        end
        raise release.interrupt if release&.interrupt

        count
      end

      # One failure may be told several times: by Karafka, and by two listeners. What has taken the connection's place
      # since the first time is not to blame.
      def told_before?(error)
        before = Thread.current[:poolkeeper_error] == error.__id__
        Thread.current[:poolkeeper_error] = error.__id__
        before
      end

      def repair(fault, error)
        Background.ensure_running
        release = Observed::Release.new
        release.settle
        numbers, condemned = fault ? fault_of(fault, error) : [[], 0]
        dropped = release.drop_condemned
        [numbers.filter_map { |number| Observed::Pools.registered(number)&.name }, condemned, dropped]
      end

      # An error of ActiveRecord's from 7.1 on names its pool. One that names none comes from a driver that somebody
      # uses by himself, and says nothing of what the owner holds.
      def fault_of(fault, error)
        number = number_of(error)
        return [[], 0] if number.nil? && Observed::Driver.lazy?

        Incidents._fault(fault, number, Owner.current)
      end

      def number_of(error)
        pool = Fault.pool_of(error)
        Observed::Pools.register(pool) if pool
      end

      def all_pools
        Core._look
        defined?(::ActiveRecord::Base) ? Observed::Pools.all.reject(&:discarded?) : []
      end

      def pool_of(given)
        return given if given.is_a?(Pool)

        pool = given.respond_to?(:connection_pool) ? given.connection_pool : given
        return pool if pool.respond_to?(:checkout) && pool.respond_to?(:checkin)

        raise ArgumentError, "verify! takes pools and models, and was given #{Log.describe(given)}"
      end

      def names(pools)
        pools.map do |pool|
          pool.is_a?(Pool) ? pool.name : Observed::Pools.registered(Observed::Pools.register(pool)).name
        end
      end

      # ActiveRecord's own numbers where the pool is at hand; the mirror's otherwise.
      def numbers(pool, leased)
        return { size: nil, idle: nil, leased: leased, waiting: nil } unless pool

        stat = pool.stat
        { size: stat[:size], idle: stat[:idle], leased: leased, waiting: stat[:waiting] }
      end

      def now
        ::Process.clock_gettime(::Process::CLOCK_MONOTONIC)
      end
    end
  end
end
