# frozen_string_literal: true

module Poolkeeper
  # Waits until pools are up again, and finds out: the first sign that a host works ends its incident, and where nobody
  # works, nobody would see one.
  #
  # @api private
  class Awaiting
    # Seconds. So often those look who wait while another tries.
    LOOK = 0.05
    FIRST_PAUSE = 0.05
    LONGEST_PAUSE = 1.0
    # By so much at most a pause is longer, by chance: processes that fail together do not come back together.
    JITTER = 0.2
    # Thread#join and sleep take no more; eleven days are as good as for ever.
    LONGEST = 1_000_000
    # For an attempt to end that was told to.
    FAREWELL = 0.2
    # One attempt takes no longer: one that hangs is to keep nobody from the next, for the name may lead elsewhere then.
    ATTEMPT = 5

    # The attempts on one pool, whoever makes them: one at a time, with a pause between them that grows.
    class Attempts
      def initialize
        @turn = Mutex.new
        @failed = 0
        @due_at = 0.0
      end

      # Runs the block unless somebody else is at it, or it is too soon. Who is interrupted leaves his turn to others.
      def attempt
        mine = false
        begin
          Thread.handle_interrupt(Object => :never) { mine = now >= @due_at && @turn.try_lock }
          # Under the caller's own mask.
          yield if mine
        ensure
          Thread.handle_interrupt(Object => :never) { give_up_turn } if mine
        end
      end

      private

      def give_up_turn
        pause
      ensure
        @turn.unlock
      end

      def pause
        # Nobody has waited for a while: this is another incident.
        @failed = 0 if now > @due_at + (10 * LONGEST_PAUSE)
        @due_at = now + ([FIRST_PAUSE * (2**[@failed, 10].min), LONGEST_PAUSE].min * (1 + rand(JITTER)))
        @failed += 1
      end

      def now
        ::Process.clock_gettime(::Process::CLOCK_MONOTONIC)
      end
    end

    # The attempts on so many pools are remembered; those of the oldest are forgotten beyond it.
    LIMIT = 256
    private_constant :LOOK, :FIRST_PAUSE, :LONGEST_PAUSE, :JITTER, :LONGEST, :FAREWELL, :LIMIT

    @attempts = {}
    @mutex = Mutex.new

    class << self
      # @raise [ArgumentError]
      def call(timeout, role)
        unless timeout.is_a?(Numeric) && timeout.real? && !timeout.to_f.nan?
          raise ArgumentError, "timeout takes seconds, and was given #{Log.describe(timeout)}"
        end

        new(timeout.to_f.clamp(0, LONGEST), known(role)).call
      end

      # @return [Attempts] on a pool, by its number
      def attempts(number)
        @mutex.synchronize do
          @attempts.shift if @attempts.size > LIMIT
          @attempts[number] ||= Attempts.new
        end
      end

      # In a forked child nobody tries yet.
      def forked
        @attempts = {}
        @mutex = Mutex.new
      end

      private

      # @return [String, nil]
      def known(role)
        return if role.nil?

        # A pool that this process has not used yet has a role, too.
        Handler.call("looking for pools", nil) do
          Observed::Pools.all.each { |pool| Observed::Pools.register(pool) } if Observed.start
        end
        names = ["writing", "reading", *Observed::Pools.roles].uniq
        named = (role.is_a?(String) || role.is_a?(Symbol)) && names.include?(role.to_s)
        # Whatever the application calls it.
        return role.to_s == "writing" ? Observed::Pools.writing_role || "writing" : role.to_s if named

        given = role.is_a?(String) ? role.inspect : Log.describe(role)
        raise ArgumentError, "role takes nil or one of #{names.join(", ")}, and was given #{given}"
      end
    end

    def initialize(timeout, role)
      @deadline = now + timeout
      @role = role
      @writing = !role.nil? && [Observed::Pools.writing_role, "writing"].include?(role)
    end

    # @return [Boolean] whether they are up; false at the timeout
    def call
      loop do
        pools = troubled
        return true if pools&.empty?
        return false if now >= @deadline

        # Where a connection has come back in an attempt, its host may be up by now.
        next if pools&.any? { |number, pool| now < @deadline && try(number, pool) }

        sleep((@deadline - now).clamp(0, LOOK))
      end
    end

    private

    # @return [Hash{Integer => Object}, nil] native pools, and ActiveRecord's, by their numbers; nil where nobody could
    #   look
    def troubled
      Handler.call("looking at incidents", nil) do
        numbers = Incidents._troubled(@role, @writing)
        next {} if numbers.empty?

        Handler.numbered(numbers).reject { |_, pool| !pool.is_a?(Pool) && Observed::Transactions.pinned?(pool) }
      end
    end

    # @return [true, nil] whether a connection was had that answers
    def try(number, pool)
      # No thread may be started there that would keep to the timeout.
      return if Background.alone?

      self.class.attempts(number).attempt do
        ends = [@deadline, now + ATTEMPT].min
        pool.is_a?(Pool) ? try_native(pool, ends) : Observed::Proof.new(pool, writes: @writing).call(ends)
        true
      rescue ThreadError, Error => e
        failed(number, e)
      end
    end

    # On a thread of its own, which holds nothing yet, and can be ended wherever it waits.
    def try_native(pool, ends)
      attempt = Thread.new do
        Thread.handle_interrupt(Object => :immediate) { pool.send(:answer, @writing, ends) }
      rescue StandardError => e
        e
      end
      outcome = attempt.join((ends - now).clamp(0, LONGEST)) && attempt.value
      raise ConnectionError, "pool #{pool.name}: no connection that answers", cause: outcome unless outcome == true
    ensure
      begin
        ended = finish(attempt)
      ensure
        finish(attempt) unless ended
      end
    end

    def finish(attempt)
      Thread.handle_interrupt(Object => :never) do
        attempt&.kill
        attempt&.join(FAREWELL)
        true
      end
    end

    # That its server is still away keeps an incident young; the rest is no news.
    def failed(number, error)
      Handler.call("noting a failed attempt", nil) do
        fault = Fault.of(error.cause) if error.cause
        Incidents._fault(:unreachable, number, Owner.current) if fault == :unreachable
        Log.rescued("waiting for a host", error) if error.is_a?(ThreadError) || error.is_a?(InternalError)
        nil
      end
    end

    def now
      ::Process.clock_gettime(::Process::CLOCK_MONOTONIC)
    end
  end
end
