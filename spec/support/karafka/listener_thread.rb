# frozen_string_literal: true

module Support
  # The thread that polls Kafka for one subscription group and hands jobs to the workers. No `worker.completed` ever
  # comes here, and no call wrapper covers it. (Not a listener object: those subscribe.)
  class KarafkaListenerThread
    # Names what the events carry.
    Named = Struct.new(:id)

    STATES = %i[pending starting running quieting quiet stopping stopped].freeze
    private_constant :STATES

    # @param monitor [#instrument]
    # @param workers [KarafkaWorkers]
    # @param partitions [Array<KarafkaPartition>]
    # @param consumer_class [Class]
    # @param options [Hash] as {KarafkaServer#initialize} explains them
    def initialize(monitor, workers, partitions, consumer_class, group_id:, batch:, pause:, tick:, poll:, backoff:)
      @monitor = monitor
      @workers = workers
      @queue = workers.queue
      @partitions = partitions
      @consumer_class = consumer_class
      @group = Named.new(group_id)
      @client = Named.new("client")
      @batch = batch
      @pause = pause
      @tick = tick
      @poll = poll
      @backoff = backoff
      @executors = {}
      @state_lock = Mutex.new
      move_to(:pending)
    end

    # @return [KarafkaListenerThread]
    def start
      move_to(:starting)
      @thread = Thread.new do
        Thread.current.name = "karafka.listener##{@group.id}"
        Thread.current.report_on_exception = false
        call
      rescue Exception => e # rubocop:disable Lint/RescueException
        # Here, too, Karafka sets `abort_on_exception`.
        @workers.crashed(e)
      end
      self
    end

    # Finish what was begun, take no more.
    def quiet
      move_to(:quieting)
    end

    # @return [Boolean] whether what was begun is finished
    def quiet?
      at_least?(:quiet)
    end

    # Leave, once quiet.
    def stop
      move_to(:stopping)
    end

    # @return [Boolean]
    def stopped?
      @state == :stopped || !@thread&.alive?
    end

    def terminate
      @thread&.terminate
    end

    # @param timeout [Numeric, nil]
    def join(timeout = nil)
      @thread&.join(timeout)
    end

    private

    def call
      send_event("connection.listener.before_fetch_loop", client: @client)
      fetch_loop
      send_event("connection.listener.after_fetch_loop", client: @client)
    end

    def fetch_loop
      move_to(:running)
      poll_events
      turn while @state == :running
      # From here on no `fetch_loop` is sent, only `client.events_poll`.
      ping_until { @queue.empty?(@group.id) }
      schedule(@executors.values.map { |executor| KarafkaJob::Shutdown.new(executor) })
      ping_until { @queue.empty?(@group.id) }
      move_to(:quiet)
      ping_until { at_least?(:stopping) }
      poll_events
      move_to(:stopped)
    rescue Exception => e # rubocop:disable Lint/RescueException
      @monitor.instrument("error.occurred", { caller: self, error: e, type: "connection.listener.fetch_loop.error" })
      reset
      retry
    end

    # One poll: everything that came is scheduled, then all of it is waited for. So a blocked worker holds up its
    # subscription group from the next turn on.
    def turn
      send_event("connection.listener.fetch_loop", client: @client)
      resume_partitions
      jobs = []
      send_event("connection.listener.fetch_loop.received", client: @client, messages_buffer: jobs) do
        poll_events
        jobs.concat(fetch)
        sleep(@poll) if jobs.empty?
      end
      schedule(jobs)
      @queue.wait(@group.id, @tick) { tick }
    end

    def resume_partitions
      @partitions.select(&:resume).each do |partition|
        @monitor.instrument("client.resume", { caller: @client, subscription_group: @group,
                                               topic: partition.topic.name, partition: partition.number })
      end
    end

    def fetch
      @partitions.filter_map do |partition|
        messages = partition.fetch(@batch)
        KarafkaJob::Consume.new(executor(partition), messages) unless messages.empty?
      end
    end

    def executor(partition)
      @executors[partition] ||=
        KarafkaExecutor.new(@monitor, partition, @consumer_class, pause: @pause, group_id: @group.id)
    end

    def schedule(jobs)
      jobs.each(&:before_schedule)
      jobs.each { |job| @queue << job }
    end

    # Once per interval, while there is nothing to do but wait.
    def tick
      return if @ticked_at && now - @ticked_at < @tick

      @ticked_at = now
      poll_events
    end

    def ping_until
      until yield
        poll_events
        sleep(@poll)
      end
    end

    def poll_events
      send_event("client.events_poll", caller: @client)
    end

    # After an error: a new connection to Kafka, which reads again from what was marked as consumed.
    def reset
      @queue.wait(@group.id, @tick) { nil }
      @queue.clear(@group.id)
      @executors.clear
      @partitions.each(&:rewind)
      sleep(@backoff)
    end

    def send_event(name, **more, &block)
      @monitor.instrument(name, { caller: self, **more, subscription_group: @group }, &block)
    end

    # Forwards only. The event is sent under the lock, as Karafka does (but for `stopping`).
    def move_to(state)
      @state_lock.synchronize do
        return if @state && at_least?(state)

        @state = state
        @monitor.instrument("connection.listener.#{state}", { caller: self }) unless state == :stopping
      end
      @monitor.instrument("connection.listener.stopping", { caller: self }) if state == :stopping
    end

    def at_least?(state)
      STATES.index(@state) >= STATES.index(state)
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
