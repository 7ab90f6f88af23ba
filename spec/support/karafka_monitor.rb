# frozen_string_literal: true

module Support
  # Stands in for `Karafka.monitor` where Karafka is not installed, as unforgiving as the real one: what a subscriber
  # raises reaches the thread that instruments, a missing key is a KeyError, the payload may be nil. A double that was
  # kinder would hide the failures that stop a consumer process. `spec/karafka/monitor_contract.rb` holds both to the
  # same behaviour.
  #
  # @example
  #   monitor = Support::KarafkaMonitor.new
  #   monitor.subscribe("worker.completed") { |event| p event.payload }
  #   monitor.instrument("worker.completed", nil)
  # @example as a version of Karafka that does not know an event yet
  #   Support::KarafkaMonitor.new(without: %w[worker.scaling.up worker.scaling.down])
  class KarafkaMonitor
    # What Karafka 2.6.1 registers, in its order (object listeners are asked in this order).
    EVENTS = %w[
      active_job.consume active_job.consumed
      app.initializing app.initialized app.before_warmup app.supervising app.running
      app.quieting app.quiet app.stopping app.stopped app.terminated
      client.pause client.resume client.reset client.events_poll
      connection.listener.before_fetch_loop connection.listener.fetch_loop
      connection.listener.fetch_loop.received connection.listener.after_fetch_loop
      connection.listener.pending connection.listener.starting connection.listener.running
      connection.listener.quieting connection.listener.quiet connection.listener.stopping connection.listener.stopped
      consumer.initialize consumer.initialized
      consumer.before_schedule_consume consumer.consume consumer.consumed
      consumer.consuming.pause consumer.consuming.retry consumer.consuming.seek consumer.consuming.transaction
      consumer.before_schedule_idle consumer.idle
      consumer.before_schedule_revoked consumer.revoke consumer.revoked
      consumer.before_schedule_tick consumer.tick consumer.ticked
      consumer.before_schedule_eofed consumer.eof consumer.eofed
      consumer.before_schedule_shutdown consumer.shutting_down consumer.shutdown
      consumer.wrap consumer.wrapped
      dead_letter_queue.dispatched filtering.throttled filtering.seek oauthbearer.token_refresh
      process.notice_signal
      rebalance.partitions_assign rebalance.partitions_assigned
      rebalance.partitions_revoke rebalance.partitions_revoked
      statistics.emitted
      swarm.node.after_fork swarm.manager.before_fork swarm.manager.after_fork
      swarm.manager.control swarm.manager.stopping swarm.manager.terminating
      worker.process worker.processed worker.completed worker.scaling.up worker.scaling.down
      error.occurred
    ].freeze

    # The payload where the caller gave none.
    NOTHING = {}.freeze
    private_constant :NOTHING

    # @return [Notifications] the bus, with everything that the monitor itself does not offer
    attr_reader :notifications_bus

    # @param without [Array<String>] names of events that this monitor shall not know
    def initialize(without: [])
      @notifications_bus = Notifications.new
      (EVENTS - without).each { |name| @notifications_bus.register_event(name) }
    end

    # Sends an event to its subscribers, here and now, on this thread.
    #
    # @param name [String, Symbol] unlike {#subscribe}, this takes symbols too
    # @param payload [Hash, nil]
    # @return [Object, nil] the block's value
    # @raise [Notifications::EventNotRegistered] and whatever a subscriber raises
    def instrument(name, payload = NOTHING, &block)
      @notifications_bus.instrument(name.to_s, payload, &block)
    end

    # @param name_or_listener [String, Object] the name of an event with a block, else an object with `on_*` methods
    # @raise [Notifications::EventNotRegistered] when a block is given and no such event is known
    def subscribe(name_or_listener, &block)
      @notifications_bus.subscribe(name_or_listener, &block)
    end

    # @param subscriber [Object, Proc] removed from all events, every copy of it
    def unsubscribe(subscriber)
      @notifications_bus.unsubscribe(subscriber)
    end

    # @return [Hash{String => Array}] subscribers by event
    def listeners
      @notifications_bus.listeners
    end

    # What a subscriber is given.
    class Event
      # @return [String] the event's name
      attr_reader :id

      # @param id [String]
      # @param payload [Hash, nil]
      # @param time [Float, nil] milliseconds that the instrumented block took
      def initialize(id, payload, time)
        @id = id
        @given = payload
        @time = time
      end

      # @return [Hash, nil] the very Hash that was instrumented; a copy with `:time` where a block was measured
      def payload
        return @given unless @time

        @payload ||= @given.merge(time: @time)
      end

      # @raise [KeyError] when the key is missing
      # @raise [NoMethodError] when the payload is nil
      def [](key)
        @time && key == :time ? @time : @given.fetch(key)
      end
    end

    # The bus behind the monitor. Nothing in it rescues anything, on purpose.
    class Notifications
      # No event of that name is registered.
      class EventNotRegistered < StandardError; end

      # @return [Hash{String => Array}] subscribers by event
      attr_reader :listeners

      def initialize
        @listeners = {}
        @handlers = {}
        # Not reentrant: a subscriber that subscribes while it is being asked `respond_to?` gets a ThreadError.
        @lock = Mutex.new
      end

      # @return [Array<String>]
      def available_events
        @handlers.keys
      end

      # @param name [String]
      def register_event(name)
        @lock.synchronize do
          @listeners[name] = []
          @handlers[name] = "on_#{name.tr(".", "_")}".to_sym
        end
      end

      # @param name [String, nil] nil removes the subscribers of all events
      # @raise [EventNotRegistered]
      def clear(name = nil)
        @lock.synchronize do
          raise EventNotRegistered, "#{name} not registered!" unless name.nil? || @listeners.key?(name)

          (name ? [name] : @listeners.keys).each { |key| @listeners[key] = [] }
        end
      end

      # @see KarafkaMonitor#subscribe
      def subscribe(name_or_listener, &block)
        @lock.synchronize do
          if block
            raise EventNotRegistered, name_or_listener unless @listeners.key?(name_or_listener)

            add(name_or_listener, block)
          else
            # A Proc without a name ends here as well: it has no on_ method, so nobody will ever call it.
            @handlers.each { |name, handler| add(name, name_or_listener) if name_or_listener.respond_to?(handler) }
          end
        end
      end

      # @see KarafkaMonitor#unsubscribe
      def unsubscribe(subscriber)
        @lock.synchronize { @listeners.transform_values! { |subscribers| subscribers - [subscriber] } }
      end

      # @see KarafkaMonitor#instrument
      def instrument(name, payload = NOTHING)
        subscribers = @listeners[name]
        raise EventNotRegistered, name unless subscribers

        if subscribers.empty?
          return block_given? ? yield : nil
        end

        if block_given?
          started = now
          value = yield
          time = now - started
        end
        dispatch(Event.new(name, payload, time), subscribers)
        value
      end

      private

      # A list is replaced and never changed in place, so that a dispatch under way keeps the one it began with.
      def add(name, subscriber)
        @listeners[name] += [subscriber]
      end

      def dispatch(event, subscribers)
        handler = @handlers[event.id]
        subscribers.each do |subscriber|
          # `send`, as the real one: public methods are asked for once, at subscription, and not looked at again.
          subscriber.is_a?(::Proc) ? subscriber.call(event) : subscriber.send(handler, event)
        end
      end

      def now
        Process.clock_gettime(Process::CLOCK_MONOTONIC, :float_millisecond)
      end
    end
  end
end
