# frozen_string_literal: true

module Soak
  # Workers in Karafka's job life cycle, with the listener subscribed as an application would.
  class Load
    WORKERS = 5
    # More than there are connections: some jobs wait for one.
    MOST_WORKERS = 8
    WAITING_JOBS = 20

    # Jobs that were done, the rows they wrote, and what failed.
    attr_reader :done, :rows, :errors

    def initialize(database)
      @database = database
      @jobs = Jobs.new(database)
      @done = 0
      # The one that is there from the start.
      @rows = 1
      @errors = []
      @lock = Mutex.new
      monitor = Support::KarafkaMonitor.new
      monitor.subscribe(Poolkeeper::KarafkaListener.new)
      monitor.subscribe("error.occurred") { |event| @lock.synchronize { @errors << event[:error] } }
      @workers = Support::KarafkaWorkers.new(monitor)
      @workers.scale(WORKERS)
    end

    # Works for so long, and until all is done.
    #
    # @param disturbed [Boolean] whether things happen that happen in a healthy process, and not all of the time
    def call(seconds, disturbed: false)
      began = now
      events = disturbed ? Events.new(@database, @workers, seconds) : nil
      waiting = []
      while (passed = now - began) < seconds
        events&.call(passed)
        waiting << perform
        waiting.shift.join if waiting.size >= WAITING_JOBS
      end
      events&.finish
      waiting.each(&:join)
      @workers.scale(WORKERS)
    end

    private

    def perform
      number = @number = (@number || 0) + 1
      @workers.perform("orders", number % 8) do
        rows = @jobs.call(number)
        @lock.synchronize do
          @done += 1
          @rows += rows
        end
      end
    end

    def now
      ::Process.clock_gettime(::Process::CLOCK_MONOTONIC)
    end
  end

  # What happens meanwhile, each at its time: workers come and go, notices arrive, settings change, a query takes a
  # minute, and the process is stopped for a while.
  class Events
    EVERY = 5.0

    def initialize(database, workers, seconds)
      @database = database
      @workers = workers
      @next = EVERY
      @rare = { seconds * 0.2 => -> { long_query([60.0, seconds * 0.3].min) }, seconds * 0.7 => -> { stop_for(3) } }
    end

    def call(passed)
      due, = @rare.first
      @rare.shift.last.call if due && passed >= due
      return if passed < @next

      @next += EVERY
      @workers.scale([1, Load::WORKERS, Load::MOST_WORKERS].sample)
      notify if Support::Dialect.family == :postgresql
    end

    def finish
      @long&.join
    end

    private

    def notify
      @database.primary.sql("NOTIFY orders")
      @database.primary.sql("SELECT pg_reload_conf()")
    end

    def long_query(seconds)
      @long = @workers.perform("slow") { @database.hold.select_value(Support::Dialect.current.sleep(seconds)) }
    end

    # From outside, as a scheduler of containers or a debugger does.
    def stop_for(seconds)
      script = "kill -STOP #{::Process.pid}; sleep #{seconds}; kill -CONT #{::Process.pid}"
      ::Process.wait(::Process.spawn("sh", "-c", script))
    end
  end
end
