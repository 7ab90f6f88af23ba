# frozen_string_literal: true

module Support
  # Karafka's pool of workers: grows at once, shrinks as workers come by.
  #
  # @example one worker and no listener, for a spec that is about workers only
  #   Support::KarafkaWorkers.open(monitor, concurrency: 1) do |workers|
  #     workers.perform("orders", 3) { |consumer| Order.create!(partition: consumer.partition) }.join
  #   end
  class KarafkaWorkers
    # @return [KarafkaJobsQueue]
    attr_reader :queue

    # @param monitor [#instrument]
    # @param concurrency [Integer]
    # @param options [Hash] see {#initialize}
    # @yieldparam workers [KarafkaWorkers] ready, closed after the block
    # @return [Object] the block's value
    def self.open(monitor, concurrency: 1, **options)
      workers = new(monitor, **options)
      workers.scale(concurrency)
      yield workers
    ensure
      workers&.close
    end

    # @param monitor [#instrument]
    # @param queue [KarafkaJobsQueue]
    # @param job_call_wrapper [#wrap, false]
    def initialize(monitor, queue: KarafkaJobsQueue.new, job_call_wrapper: false)
      @monitor = monitor
      @queue = queue
      @wrapper = job_call_wrapper
      @workers = []
      @everyone = []
      @crashes = Queue.new
      @next_number = 0
      @shrinking = 0
      @lock = Mutex.new
    end

    # @param target [Integer] at least 1
    def scale(target)
      event = @lock.synchronize do
        difference = [target, 1].max - (@workers.size - @shrinking)
        if difference.positive?
          grow(difference)
        elsif difference.negative?
          shrink(-difference)
        end
      end
      # Not under the lock, and the new workers are at work already.
      @monitor.instrument(*event) if event
    end

    # Hands one job to the workers, as a listener thread would; here the calling thread plays that part.
    #
    # @param topic [String]
    # @param partition [Integer]
    # @param action [Class] what kind of job
    # @param consumer [Class, nil] instead of the block
    # @yieldparam consumer [KarafkaConsumer] the body of `consume`
    # @return [KarafkaJob] `join` returns when the last subscriber of `worker.completed` has returned
    def perform(topic = "orders", partition = 0, action: KarafkaJob::Consume, consumer: nil, &body)
      assigned = KarafkaPartition.new(topic, partition, ["payload"])
      executor = KarafkaExecutor.new(@monitor, assigned, consumer || KarafkaConsumer.running(&body))
      job = action == KarafkaJob::Consume ? action.new(executor, assigned.fetch(1)) : action.new(executor)
      job.before_schedule
      @queue << job
      job
    end

    # @return [Integer]
    def size
      @lock.synchronize { @workers.size }
    end

    # @return [Array<KarafkaWorker>]
    def alive
      @lock.synchronize { @workers.select(&:alive?) }
    end

    # @return [Boolean]
    def stopped?
      alive.empty?
    end

    # Kills all worker threads, as Karafka does when a stop takes too long.
    def terminate
      alive.each(&:terminate)
    end

    # Ends the queue and waits for every worker to leave.
    #
    # @param timeout [Numeric] seconds; whoever is left is killed
    def close(timeout = 10)
      @queue.close
      join(timeout)
      terminate
      join(timeout)
    end

    # @param timeout [Numeric, nil] seconds for each of them
    def join(timeout = nil)
      @lock.synchronize { @everyone.dup }.each { |worker| worker.join(timeout) }
    end

    # A worker leaves.
    def deregister(worker)
      @lock.synchronize do
        @workers.delete(worker)
        @shrinking -= 1 if @shrinking.positive?
      end
    end

    # A thread died of an error that nobody rescued.
    def crashed(error)
      @crashes << error
    end

    # @return [Exception, nil] what a thread died of, each once
    def crash
      @crashes.pop(true)
    rescue ThreadError
      nil
    end

    private

    def grow(count)
      from = @workers.size
      # Who has left is waited for no longer: a process scales for weeks.
      @everyone.select!(&:alive?)
      count.times do
        worker = KarafkaWorker.new(@monitor, @queue, self, @wrapper)
        @workers << worker
        @everyone << worker
        # Numbers are never used again, so that a name means one thread.
        worker.start("karafka.worker##{@next_number}")
        @next_number += 1
      end
      ["worker.scaling.up", { workers_pool: self, from:, to: @workers.size }]
    end

    def shrink(count)
      from = @workers.size
      committed = from - @shrinking
      count = [count, committed - 1].min
      return if count < 1

      @shrinking += count
      count.times { @queue << nil }
      ["worker.scaling.down", { workers_pool: self, from:, to: committed - count }]
    end
  end
end
