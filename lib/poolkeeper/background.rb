# frozen_string_literal: true

module Poolkeeper
  # The one Ruby thread of poolkeeper: it waits without the GVL for what the core has to tell, evicts idle condemned
  # connections, and carries events to their subscribers.
  module Background
    # How often the mirror forgets what has gone without a word, in seconds.
    TIDY = 10.0

    @starting = Mutex.new

    class << self
      # A forked child has neither the thread nor whoever was just starting it.
      #
      # @param alone [Boolean] whether no thread may be started here
      def forked(alone: false)
        @alone = alone
        @thread = @turn = nil
        @starting = Mutex.new
      end

      # Whether Ruby takes threads for alive that a fork has ended, since whoever forked in C has not told it
      # (rb_thread_atfork). A new thread may be given the memory of such a one, and the next collection of garbage would
      # end the process.
      def haunted?
        return true if @thread&.alive? && !@thread.equal?(Thread.current)

        Thread.list.size > Dir.children("/proc/self/task").size
      rescue SystemCallError
        false
      end

      # Starts the thread unless it runs.
      def ensure_running
        return if @thread&.alive? || @alone
        # Whoever is starting it will have done so; a handler of signals may try a lock, but not wait for one.
        return unless @starting.try_lock

        begin
          start unless @thread&.alive?
        ensure
          @starting.unlock
        end
      end

      private

      def start
        # A new thread inherits the interrupt mask of whoever starts it, and one that cannot be killed would keep the
        # process from ending.
        turn = @turn = Object.new
        @thread = Thread.new { Thread.handle_interrupt(Object => :immediate) { run(turn) } }
        @thread.name = "poolkeeper"
      rescue ThreadError => e
        # While the process ends, or at its limit of threads: the work is done at checkout instead.
        Log.rescued("starting the poolkeeper thread", e)
      end

      # Ends in a child that a subscriber forked and that comes back here: it would carry on for ever.
      def run(turn)
        tidied = now
        while @turn.equal?(turn)
          carry(Notices._next(TIDY))
          next if now - tidied < TIDY

          carry(:tidy)
          tidied = now
        end
      rescue InternalError => e
        # Started again by the next connection or release that needs it.
        Log.line(:error, "the poolkeeper thread ends: #{Log.describe(e)}")
      end

      def now
        ::Process.clock_gettime(::Process::CLOCK_MONOTONIC)
      end

      def carry(event)
        case event
        when Integer then Observed::Eviction.evict(event)
        when Hash
          Poolkeeper.events.carry(event)
          # A subscriber may have used a database.
          Handler.release(:discard)
        when :tidy then Observed.observing? && Observed::Walk.tidy
        end
      rescue Exception => e # rubocop:disable Lint/RescueException -- one event must not end the carrying of the rest
        Log.line(:error, "carrying an event: #{Log.describe(e)}")
      end
    end
  end
end
