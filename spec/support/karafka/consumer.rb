# frozen_string_literal: true

module Support
  # What Karafka's base consumer does around the user's code: which events it sends, which errors it reports and which
  # it lets through. Subclasses define `consume` and, where wanted, `wrap(action)`, `initialized`, `shutdown`,
  # `revoked` or an `on_before_schedule_consume` that calls super.
  class KarafkaConsumer
    # @return [Array<KarafkaMessage>]
    attr_accessor :messages

    # @yieldparam consumer [KarafkaConsumer] the body of `consume`
    # @return [Class] a consumer class
    def self.running(&body)
      Class.new(self) { define_method(:consume) { body.call(self) } }
    end

    # @param monitor [#instrument]
    # @param assigned [KarafkaPartition]
    # @param pause [Numeric] seconds that a partition rests after a failed batch
    def initialize(monitor, assigned, pause)
      @monitor = monitor
      @assigned = assigned
      @pause = pause
      @messages = []
    end

    # @return [KarafkaTopic]
    def topic
      @assigned.topic
    end

    # @return [Integer]
    def partition
      @assigned.number
    end

    # @return [Integer] 1 at the first try
    def attempt
      @assigned.attempt
    end

    # @return [Integer]
    def seek_offset
      @assigned.seek_offset
    end

    # @return [Boolean]
    def retrying?
      attempt > 1
    end

    # @param message [KarafkaMessage]
    # @return [true]
    def mark_as_consumed(message)
      @assigned.mark_as_consumed(message)
      true
    end

    # On the listener thread, once per consumer.
    def on_initialized
      send_event("consumer.initialize")
      send_event("consumer.initialized") { initialized }
    rescue StandardError => e
      report(e, "consumer.initialized.error")
    end

    # On the listener thread, before a job of that action is handed to the workers.
    %i[consume shutdown revoked].each do |action|
      define_method(:"on_before_schedule_#{action}") { send_event("consumer.before_schedule_#{action}") }
    end

    # Everything that a worker does for one job runs inside this, `worker.process` and `worker.processed` included. It
    # is the last rescue that still lets a subscriber's error pass for a fault of the user's `wrap`.
    def on_wrap(action, &block)
      send_event("consumer.wrap")
      send_event("consumer.wrapped") { wrap(action, &block) }
    rescue StandardError => e
      report(e, "consumer.wrap.error")
    end

    # Before the job is called, outside Karafka's call wrapper.
    def on_before_consume
      @assigned.attempted
    end

    # Any Exception: one that escaped would skip {#on_after_consume}, and with it the pause and the retry.
    def on_consume
      @failed = false
      send_event("consumer.consume")
      send_event("consumer.consumed") { consume }
    rescue Exception => e # rubocop:disable Lint/RescueException
      @failed = true
      report(e, "consumer.consume.error", seek_offset:)
    end

    # After the job was called, outside Karafka's call wrapper.
    def on_after_consume
      @failed ? retry_after_pause : succeeded
    rescue Exception => e # rubocop:disable Lint/RescueException
      report(e, "consumer.after_consume.error", seek_offset:)
      retry_after_pause
    end

    def on_shutdown
      send_event("consumer.shutting_down")
      send_event("consumer.shutdown") { shutdown }
    rescue StandardError => e
      report(e, "consumer.shutdown.error")
    end

    def on_revoked
      send_event("consumer.revoke")
      send_event("consumer.revoked") { revoked }
    rescue StandardError => e
      report(e, "consumer.revoked.error")
    end

    private

    def wrap(_action)
      yield
    end

    def initialized; end

    def shutdown; end

    def revoked; end

    def succeeded
      @assigned.succeeded
      mark_as_consumed(messages.last) unless messages.empty?
    end

    # The worker is free at once; only the partition rests.
    def retry_after_pause
      @assigned.pause(@pause)
      details = { topic: topic.name, partition:, offset: seek_offset, timeout: (@pause * 1_000).to_i }
      @monitor.instrument("client.pause", { caller: @assigned, subscription_group: nil, **details })
      details[:attempt] = attempt
      send_event("consumer.consuming.pause", manual: false, subscription_group: nil, **details)
      send_event("consumer.consuming.retry", **details)
    end

    def send_event(name, **more, &block)
      @monitor.instrument(name, { caller: self, **more }, &block)
    end

    def report(error, type, **more)
      @monitor.instrument("error.occurred", { error:, caller: self, **more, type: })
    end
  end
end
