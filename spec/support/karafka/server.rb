# frozen_string_literal: true

module Support
  # A Karafka process: application states, workers, one listener thread per subscription group, orderly and forced
  # stop. Messages come from memory; everything else happens on real threads, in Karafka's order.
  #
  # What differs from the real one, for the sake of specs: a batch is up to `batch` messages of each partition (not of
  # one poll over all of them), a poll that finds nothing waits for `poll` and not up to a second, the pause does not
  # grow, a forced stop does not end the process (as in Karafka's embedded mode).
  #
  # @example
  #   partitions = Array.new(8) { |number| Support::KarafkaPartition.new("orders", number, payloads[number]) }
  #   server = Support::KarafkaServer.new(monitor, OrdersConsumer, partitions)
  #   server.start
  #   server.wait_until_consumed(60)
  #   server.stop
  class KarafkaServer
    STATES = %i[initializing initialized running stopping stopped terminated].freeze
    private_constant :STATES

    # @return [KarafkaWorkers]
    attr_reader :workers

    # @return [Array<KarafkaPartition>]
    attr_reader :partitions

    # @return [String]
    attr_reader :id

    # @param monitor [#instrument] a {KarafkaMonitor}, or the real one
    # @param consumer_class [Class] a {KarafkaConsumer}
    # @param partitions [Array<KarafkaPartition>, Hash{String => Array<KarafkaPartition>}] by subscription group, where
    #   there is more than one
    # @param concurrency [Integer] number of workers
    # @param batch [Integer] messages that a job gets at most
    # @param pause [Numeric] seconds that a partition rests after a failed batch
    # @param tick [Numeric] seconds between two `client.events_poll` while a listener waits for jobs
    # @param poll [Numeric] seconds that a poll waits for messages
    # @param backoff [Numeric] seconds that a listener sleeps after an error of its own (Karafka: 60)
    # @param job_call_wrapper [#wrap, false]
    def initialize(monitor, consumer_class, partitions, concurrency: 5, batch: 10, pause: 0.5, tick: 5, poll: 0.02,
                   backoff: 0.5, job_call_wrapper: false)
      @monitor = monitor
      @concurrency = concurrency
      @id = object_id.to_s(16)
      groups = partitions.is_a?(Hash) ? partitions : { "orders_0" => partitions }
      @partitions = groups.values.flatten
      @workers = KarafkaWorkers.new(monitor, job_call_wrapper:)
      timing = { batch:, pause:, tick:, poll:, backoff: }
      @listeners = groups.map do |group_id, assigned|
        KarafkaListenerThread.new(monitor, @workers, assigned, consumer_class, group_id:, **timing)
      end
      # Not reentrant, and held while `app.*` is sent: a subscriber that changes the state gets a ThreadError.
      @state_lock = Mutex.new
      @state = :initialized
    end

    # Runs until somebody calls {#stop}, on this thread, as `karafka server` does on its main thread.
    #
    # @raise [Exception] what a worker or a listener thread died of; then `app.stopped` is never sent
    def run
      move_to(:running)
      @listeners.each(&:start)
      @workers.scale(@concurrency)
      supervise until @listeners.all?(&:stopped?)
      # Once more: a thread can die as the last listener leaves.
      supervise
      @workers.queue.close
      @workers.join
      # Karafka does not wait for these; a spec that looks at threads afterwards has to.
      @listeners.each(&:join)
      supervise
    rescue StandardError => e
      @monitor.instrument("error.occurred", { caller: self, error: e, type: "runner.call.error" })
      move_to(:stopping)
      give_up
      raise
    end

    # {#run} on a thread of its own, as Karafka's embedded mode does.
    #
    # @return [KarafkaServer]
    def start
      @runner = Thread.new do
        Thread.current.name = "karafka.embedded"
        Thread.current.report_on_exception = false
        run
      end
      sleep(0.001) until state == :running || !@runner.alive?
      self
    end

    # What SIGTERM leads to, on the thread of a signal. Not for workers: they would wait for themselves.
    #
    # @param timeout [Numeric] seconds until whoever still works is killed
    # @raise [Exception] of {#run}, after {#start}
    def stop(timeout = 60)
      shut_down(timeout) unless %i[stopping stopped terminated].include?(state)
      @runner&.join
    end

    # @return [Symbol] initialized, running, stopping, stopped or terminated
    attr_reader :state

    # @return [Boolean] whether every message is marked as consumed and no job is under way
    def consumed?
      @partitions.all?(&:consumed?) && @workers.queue.in_processing.values.all?(&:empty?)
    end

    # @param timeout [Numeric] seconds
    # @return [Boolean] false at the timeout, or when the process has died
    def wait_until_consumed(timeout = 60)
      deadline = now + timeout
      until consumed?
        return false if now > deadline || state != :running || @runner&.alive? == false

        sleep(0.01)
      end
      true
    end

    private

    # One turn of the main thread's loop.
    def supervise
      crash = @workers.crash
      raise crash if crash

      if state == :stopping
        @listeners.each(&:quiet)
        @listeners.each(&:stop) if @listeners.all? { |listener| listener.quiet? || listener.stopped? }
      end
      sleep(0.005)
    end

    def shut_down(timeout)
      # Not covered by the ensure: who raises in `app.stopping` keeps the process from ever reaching `app.stopped`.
      move_to(:stopping)
      begin
        deadline = now + timeout
        sleep(0.005) until everybody_left? || now > deadline
        kill_everybody unless everybody_left?
      ensure
        move_to(:stopped)
        move_to(:terminated)
      end
    end

    def everybody_left?
      @listeners.all?(&:stopped?) && @workers.stopped?
    end

    def kill_everybody
      error = RuntimeError.new("forced shutdown")
      active = @listeners.reject(&:stopped?)
      @monitor.instrument("error.occurred", { caller: self, error:, active_listeners: active,
                                              alive_workers: @workers.alive, type: "app.stopping.error",
                                              in_processing: @workers.queue.in_processing })
      @workers.terminate
      active.each(&:terminate)
    end

    # Karafka only closes the queue here and can hang; a spec must not.
    def give_up
      @workers.queue.close
      @listeners.each(&:quiet)
      @listeners.each(&:stop)
      @listeners.each { |listener| listener.join(5) }
      @workers.close(5)
    end

    def move_to(state)
      @state_lock.synchronize do
        return if STATES.index(state) <= STATES.index(@state)

        @state = state
        @monitor.instrument("app.#{state}", { caller: self, server_id: @id })
      end
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
