# frozen_string_literal: true

module Poolkeeper
  # The one Ruby thread of poolkeeper: it waits without the GVL for what the core has to tell, evicts idle condemned
  # connections, and carries events to their subscribers.
  #
  # Whatever fails in it, or is raised in it from outside, is logged, and it goes on. Where it was killed, the next
  # connection or release that needs it starts another.
  module Background
    # How often the mirror forgets what has gone without a word, in seconds.
    TIDY = 10.0

    # The failures of the present minute, as in the core's own background.
    class Failures
      MINUTE = 60.0
      FIRST_PAUSE = 0.01
      LONGEST_PAUSE = 1.0
      # So many a minute are told.
      TOLD = 10

      def initialize
        @since = -MINUTE
        @count = 0
      end

      # @param now [Float] on the monotonic clock
      # @return [Array(Float, Boolean)] how long to wait before going on, and whether to tell of this one
      def add(now)
        if now - @since >= MINUTE
          @since = now
          @count = 0
        end
        @count += 1
        [[FIRST_PAUSE * (2**[@count - 1, 7].min), LONGEST_PAUSE].min, @count <= TOLD]
      end
    end

    @starting = Mutex.new
    @failures = Failures.new

    class << self
      # A forked child has neither the thread nor whoever was just starting it.
      #
      # @param alone [Boolean] whether no thread may be started here
      def forked(alone: false)
        @alone = alone
        @thread = @shift = nil
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

      # Whether this is a child in which no thread may be started.
      def alone?
        !!@alone
      end

      # Starts the thread unless it runs.
      def ensure_running
        return if @thread&.alive?

        # Whether a child that was forked in C may have one is not to be found out by the thread itself.
        ForkHook.look("looking for a fork")
        return if @alone

        # In one piece: an interrupt that came between the lock and the `ensure` would leave it locked for ever.
        Thread.handle_interrupt(Object => :never) do
          # Whoever is starting it will have done so; a handler of signals may try a lock, but not wait for one.
          next unless @starting.try_lock

          begin
            start unless @thread&.alive?
          ensure
            @starting.unlock
          end
        end
      end

      private

      def start
        ended = !@thread.nil?
        shift = @shift = Object.new
        # A new thread inherits the interrupt mask of whoever starts it, and one that cannot be killed would keep the
        # process from ending.
        @thread = Thread.new { Thread.handle_interrupt(Object => :immediate) { run(shift, ended) } }
        @thread.name = "poolkeeper"
      rescue ThreadError => e
        # While the process ends, or at its limit of threads: the work is done at checkout instead.
        Log.rescued("starting the poolkeeper thread", e)
      end

      # Ends in a child that a subscriber forked and that comes back here: it would carry on for ever.
      def run(shift, ended)
        # What others raise in here is let in where it is rescued, and nowhere else.
        Thread.handle_interrupt(Exception => :never) do
          pause = ended ? failed("it had ended") : 0
          pause = turn(pause) while @shift.equal?(shift)
        end
      end

      # @return [Numeric] how long to wait before the next one
      def turn(pause)
        # Interrupted while it waits: what has been taken from the queue is not lost.
        Thread.handle_interrupt(Object => :on_blocking) do
          sleep(pause) if pause.positive?
          carry(Notices._next(TIDY))
          tidy
        end
        0
      rescue Exception => e # rubocop:disable Lint/RescueException -- whatever it is, nobody else would do this work
        failed(Log.describe(e))
      end

      def failed(how)
        pause, told = @failures.add(now)
        Log.line(:error, "the poolkeeper thread was started again: #{how}") if told
        pause
      end

      def now
        ::Process.clock_gettime(::Process::CLOCK_MONOTONIC)
      end

      def carry(event)
        case event
        when Integer then Observed::Eviction.evict(event)
        when Array then event.one? ? refresh(*event) : Leaks.report(*event)
        when Hash
          own = event[:owner] == Owner.current
          # The application's code, which is interrupted as everywhere.
          Thread.handle_interrupt(Object => :immediate) { Poolkeeper.events.carry(event) }
          # A subscriber may have used a database. Where nothing is given back, each release tells the same again: to
          # release after what this thread's own has told would go round for ever.
          Handler.release(:discard) if Poolkeeper.config.act? || !own
        end
      rescue Exception => e # rubocop:disable Lint/RescueException -- one event must not end the carrying of the rest
        Log.line(:error, "carrying an event: #{Log.describe(e)}")
      end

      def refresh(number)
        adapter = Observed::Adapters[number]
        Observed::Driver.refresh(adapter, number) if adapter
      end

      def tidy
        @tidied ||= now
        return if now - @tidied < TIDY

        @tidied = now
        Observed::Walk.tidy if Observed.observing?
      end
    end
  end
end
