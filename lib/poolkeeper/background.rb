# frozen_string_literal: true

module Poolkeeper
  # The one Ruby thread of poolkeeper: it waits without the GVL for what the core has to tell, evicts idle condemned
  # connections, and carries events to their subscribers.
  module Background
    # How often the mirror forgets what has gone without a word, in seconds.
    TIDY = 10.0

    @starting = Mutex.new

    class << self
      # Starts the thread unless it runs; a fork has left the child without it.
      def ensure_running
        return if @thread&.alive?
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
        @thread = Thread.new { Thread.handle_interrupt(Object => :immediate) { run } }
        @thread.name = "poolkeeper"
      rescue ThreadError => e
        # While the process ends, or at its limit of threads: the work is done at checkout instead.
        Log.rescued("starting the poolkeeper thread", e)
      end

      def run
        tidied = now
        loop do
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
