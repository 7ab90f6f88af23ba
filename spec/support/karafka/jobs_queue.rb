# frozen_string_literal: true

module Support
  # The one queue between listener threads and workers. A job counts as being worked on from the moment it is put in,
  # and no longer when `worker.completed` is sent: a slow subscriber holds up its worker, not its partition.
  class KarafkaJobsQueue
    def initialize
      @queue = Queue.new
      @in_processing = Hash.new { |groups, id| groups[id] = [] }
      @lock = Mutex.new
      @changed = ConditionVariable.new
    end

    # @param job [KarafkaJob, nil] nil makes one worker leave
    def <<(job)
      @lock.synchronize do
        return self if @queue.closed?

        @in_processing[job.group_id] << job if job
        @queue << job
      end
      self
    end

    # @return [KarafkaJob, nil] waits; nil when the worker shall leave
    def pop
      @queue.pop
    end

    # @return [Integer] workers that wait for a job
    def waiting
      @queue.num_waiting
    end

    # @param job [KarafkaJob]
    def complete(job)
      @lock.synchronize do
        @in_processing[job.group_id].delete(job)
        @changed.broadcast
      end
    end

    # @param group_id [String]
    # @return [Boolean]
    def empty?(group_id)
      @lock.synchronize { @in_processing[group_id].empty? }
    end

    # @return [Hash{String => Array<KarafkaJob>}]
    def in_processing
      @lock.synchronize { @in_processing.transform_values(&:dup) }
    end

    # Waits until the jobs of a group are done.
    #
    # @param group_id [String]
    # @param interval [Numeric] seconds after which the block is called again at the latest
    # @yield before each wait
    def wait(group_id, interval)
      until empty?(group_id)
        yield
        @lock.synchronize { @changed.wait(@lock, interval) unless @in_processing[group_id].empty? || @queue.closed? }
        return if @queue.closed?
      end
    end

    # @param group_id [String] forgets its jobs; those with the workers are not recalled
    def clear(group_id)
      @lock.synchronize { @in_processing[group_id].clear }
    end

    # Lets the workers finish what is in the queue and leave.
    def close
      @lock.synchronize do
        @queue.close
        @changed.broadcast
      end
    end
  end
end
