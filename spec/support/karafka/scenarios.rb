# frozen_string_literal: true

module Support
  # Karafka's recurring scenes in one call each, for any monitor: the double or the real one. Where threads matter they
  # are real threads. Whatever a subscriber raises has the effect that it has in Karafka.
  module KarafkaScenarios
    module_function

    # A job that does its work.
    #
    # @yieldparam consumer [KarafkaConsumer]
    # @return [KarafkaJob]
    def successful_job(monitor, topic: "orders", partition: 0, **options, &work)
      KarafkaWorkers.open(monitor, **options) { |workers| workers.perform(topic, partition, &work).join }
    end

    # A job that raises: `error.occurred` (consumer.consume.error), a pause, then `worker.completed`.
    #
    # @param error [Exception]
    # @yieldparam consumer [KarafkaConsumer] what the job does before it raises
    # @return [KarafkaJob]
    def failing_job(monitor, error = RuntimeError.new("boom"), **options)
      successful_job(monitor, **options) do |consumer|
        yield consumer if block_given?
        raise error
      end
    end

    # A worker that leaves because of a shutdown: `worker.completed` with `job: nil`.
    def worker_exit(monitor)
      KarafkaWorkers.open(monitor) { nil }
    end

    # A worker that is killed while it waits for a job: `worker.completed` with the payload nil.
    def killed_worker(monitor)
      KarafkaWorkers.open(monitor) do |workers|
        sleep(0.001) until workers.queue.waiting == 1
        workers.terminate
        workers.join
      end
    end

    # One failure that is reported three times: a subscriber of `error.occurred` raises each time, the worker dies.
    #
    # @return [Exception, nil] what the worker died of
    def error_chain(monitor, error = RuntimeError.new("boom"))
      workers = KarafkaWorkers.new(monitor)
      workers.scale(1)
      workers.perform { raise error }.join
      workers.join(10)
      workers.crash
    ensure
      workers&.close
    end

    # All states of a process, each sent while a mutex is held that is not reentrant.
    def application_states(monitor)
      server = KarafkaServer.new(monitor, KarafkaConsumer.running { nil }, [], concurrency: 1)
      server.start
      server.stop
    end

    # `connection.listener.fetch_loop` and `client.events_poll` on a listener thread; then its end.
    #
    # @param turns [Integer]
    # @yield before each turn, on that thread: what a hook or a subscriber does there
    # @return [Array] the values of the block
    def fetch_loop(monitor, turns: 1)
      details = { caller: Object.new, client: Object.new, subscription_group: Object.new }
      thread = Thread.new do
        Thread.current.name = "karafka.listener#orders_0"
        Thread.current.report_on_exception = false
        values = Array.new(turns) do
          value = yield if block_given?
          monitor.instrument("connection.listener.fetch_loop", details)
          monitor.instrument("client.events_poll", details.slice(:caller, :subscription_group))
          value
        end
        monitor.instrument("connection.listener.after_fetch_loop", details)
        values
      end
      thread.value
    end

    # Several rounds of a swarm's fork, hours apart in life: `before_fork` here, `after_fork` in the child.
    #
    # @yield in the child; its value, if false, makes the child end with status 1
    # @return [Array<Process::Status>]
    def forks(monitor, rounds: 2)
      Array.new(rounds) do |number|
        node = KarafkaListenerThread::Named.new(number)
        monitor.instrument("swarm.manager.before_fork", { caller: self, node: })
        pid = fork do
          # No at_exit of the test process may run in here.
          status = 2
          begin
            monitor.instrument("swarm.node.after_fork", { caller: node })
            status = !block_given? || yield ? 0 : 1
          rescue Exception => e # rubocop:disable Lint/RescueException
            warn(e.full_message)
          ensure
            exit!(status)
          end
        end
        monitor.instrument("swarm.manager.after_fork", { caller: self, node: })
        Process.wait2(pid).last
      end
    end
  end
end
