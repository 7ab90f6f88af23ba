# frozen_string_literal: true

require_relative "karafka_monitor"
require_relative "karafka/job"
require_relative "karafka/jobs_queue"
require_relative "karafka/workers"
require_relative "karafka/listener_thread"
require_relative "karafka/server"
require_relative "karafka/scenarios"

module Support
  # One worker thread as Karafka 2.6 runs it: which events it sends in which order, with which payload, and what
  # becomes of the thread when a subscriber raises.
  class KarafkaWorker
    # @return [Thread, nil]
    attr_reader :thread

    # @param monitor [#instrument]
    # @param queue [KarafkaJobsQueue]
    # @param workers [KarafkaWorkers]
    # @param wrapper [#wrap, false] Karafka's `worker_job_call_wrapper`
    def initialize(monitor, queue, workers, wrapper)
      @monitor = monitor
      @queue = queue
      @workers = workers
      @wrapper = wrapper
    end

    # @param name [String]
    # @return [KarafkaWorker]
    def start(name)
      @thread = Thread.new do
        Thread.current.name = name
        Thread.current.priority = -1
        # Reported by {KarafkaWorkers#crashed}; Ruby would print it a second time.
        Thread.current.report_on_exception = false
        loop { break unless work_off_one }
      rescue Exception => e # rubocop:disable Lint/RescueException
        # Karafka sets `abort_on_exception`, which raises this in the main thread. Here the Runner asks for it.
        @workers.crashed(e)
      end
      self
    end

    # @return [Boolean]
    def alive?
      @thread&.alive? || false
    end

    # Kills the thread; its `ensure` still sends `worker.completed`.
    def terminate
      @thread.terminate
    end

    # @param timeout [Numeric, nil]
    def join(timeout = nil)
      @thread.join(timeout)
    end

    private

    # @return [Boolean] whether the worker goes on. Nothing that happens inside a job decides that.
    def work_off_one
      job = nil
      # Stays nil when the thread is killed in `pop`, and is sent like that.
      details = nil
      job = @queue.pop
      details = { caller: self, job:, jobs_queue: @queue }
      return leave unless job

      job.wrap { process(job, details) }
      true
    rescue Exception => e # rubocop:disable Lint/RescueException
      @monitor.instrument("error.occurred", { caller: self, job:, jobs_queue: @queue, error: e,
                                              type: "worker.process.error" })
      true
    ensure
      begin
        if job
          @queue.complete(job)
          job.finish!
        end
        # Behind every rescue: what a subscriber raises here ends the thread.
        @monitor.instrument("worker.completed", details)
      ensure
        job&.left!
      end
    end

    def process(job, details)
      @monitor.instrument("worker.process", details)
      @monitor.instrument("worker.processed", details) do
        job.before_call
        @wrapper ? @wrapper.wrap { job.call } : job.call
        job.after_call
      end
    end

    def leave
      @workers.deregister(self)
      false
    end
  end
end
