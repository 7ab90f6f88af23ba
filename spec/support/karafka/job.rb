# frozen_string_literal: true

require_relative "consumer"
require_relative "partition"

module Support
  # What a job carries about its partition; lives as long as the partition is assigned.
  class KarafkaExecutor
    # @return [String] the subscription group's id
    attr_reader :group_id

    # @param monitor [#instrument]
    # @param assigned [KarafkaPartition]
    # @param consumer_class [Class] a {KarafkaConsumer}
    # @param pause [Numeric] seconds
    def initialize(monitor, assigned, consumer_class, pause: 0.5, group_id: "group")
      @monitor = monitor
      @assigned = assigned
      @consumer_class = consumer_class
      @pause = pause
      @group_id = group_id
    end

    # @return [String]
    def id
      object_id.to_s(16)
    end

    # @return [KarafkaTopic]
    def topic
      @assigned.topic
    end

    # @return [Integer]
    def partition
      @assigned.number
    end

    # @return [KarafkaConsumer] built by the first who asks, which is the listener thread
    def consumer
      @consumer ||= @consumer_class.new(@monitor, @assigned, @pause).tap(&:on_initialized)
    end
  end

  # A unit of work for a worker.
  class KarafkaJob
    class << self
      # @return [Symbol]
      attr_accessor :action
    end

    # @return [KarafkaExecutor]
    attr_reader :executor

    # @param executor [KarafkaExecutor]
    def initialize(executor)
      @executor = executor
      @lock = Mutex.new
      @left = ConditionVariable.new
      @finished = @gone = false
    end

    # @return [String]
    def id
      executor.id
    end

    # @return [String]
    def group_id
      executor.group_id
    end

    def wrap(&block)
      executor.consumer.on_wrap(self.class.action, &block)
    end

    # On the listener thread, and with it everything that a user's hook takes there.
    def before_schedule
      executor.consumer.public_send(:"on_before_schedule_#{self.class.action}")
    end

    def before_call; end

    # The only part that Karafka's `worker_job_call_wrapper` covers.
    def call
      executor.consumer.public_send(:"on_#{self.class.action}")
    end

    def after_call; end

    # @return [Boolean]
    def non_blocking?
      false
    end

    # @return [Boolean] true already when `worker.completed` is sent
    def finished?
      @finished
    end

    def finish!
      @finished = true
    end

    # Told by the worker after the last subscriber of `worker.completed`. The real job has no such moment; specs need
    # one, since {#finished?} comes too early for them.
    def left!
      @lock.synchronize do
        @gone = true
        @left.broadcast
      end
    end

    # Waits until no subscriber is busy with this job any more.
    #
    # @param timeout [Numeric] seconds
    # @return [KarafkaJob, nil] nil at the timeout
    def join(timeout = 10)
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + timeout
      @lock.synchronize do
        until @gone
          left = deadline - Process.clock_gettime(Process::CLOCK_MONOTONIC)
          return nil unless left.positive?

          @left.wait(@lock, left)
        end
      end
      self
    end

    # Consumes one batch.
    class Consume < KarafkaJob
      self.action = :consume

      # @return [Array<KarafkaMessage>]
      attr_reader :messages

      # @param executor [KarafkaExecutor]
      # @param messages [Array<KarafkaMessage>]
      def initialize(executor, messages)
        super(executor)
        @messages = messages
      end

      def before_schedule
        executor.consumer.messages = @messages
        super
      end

      def before_call
        executor.consumer.on_before_consume
      end

      def after_call
        executor.consumer.on_after_consume
      end
    end

    # Runs a consumer's `shutdown`, one for each partition that was worked on.
    class Shutdown < KarafkaJob
      self.action = :shutdown
    end

    # Runs a consumer's `revoked`.
    class Revoked < KarafkaJob
      self.action = :revoked
    end
  end
end
