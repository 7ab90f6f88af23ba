# frozen_string_literal: true

module Poolkeeper
  # Releases and verifies on Karafka's events. A plain object for Karafka's monitor:
  #
  # @example In karafka.rb, after the app class
  #   Karafka.monitor.subscribe(Poolkeeper::KarafkaListener.new)
  #
  # It needs nothing from an event, so it works on every version; subscribed twice, it does the same.
  class KarafkaListener
    LEAKS = %i[discard report].freeze

    # @param release [Boolean] whether to release after each job and on listener threads
    # @param verify [Boolean] whether to verify when an error occurs
    # @param leaks [Symbol] what becomes of a transaction that a job left open: `:discard` drops its connection, so that
    #   the server rolls back; `:report` reports and leaves it
    # @raise [ConfigurationError] for a value an option cannot take
    def initialize(release: true, verify: true, leaks: :discard)
      @release = boolean(:release, release)
      @verify = boolean(:verify, verify)
      unless LEAKS.include?(leaks)
        raise ConfigurationError, "leaks takes :discard or :report, and was given #{Log.describe(leaks)}"
      end

      @leaks = leaks
      Poolkeeper.observe
    end

    # A worker begins a job: what the thread holds from now on belongs to this topic and partition.
    def on_worker_process(event)
      Handler.call("noting a job", nil) do
        topic, partition = topic_and_partition(event)
        Mirror._job(Owner.current, topic, partition)
      end
      nil
    end

    # A worker has finished a job, whatever came of it; also fired without a job when a worker ends.
    def on_worker_completed(_event)
      release
    end

    # An error of any kind, on any thread.
    def on_error_occurred(event)
      return unless @verify

      Handler.call("reading an event", nil) do
        payload = event.respond_to?(:payload) ? event.payload : nil
        error = payload.is_a?(Hash) ? payload[:error] : nil
        Handler.verify(error) if error
      end
      nil
    end

    # No worker.completed ever comes on a listener thread, so its turns are the release points.
    def on_connection_listener_fetch_loop(_event)
      release
    end

    # The listener thread's last turn.
    def on_connection_listener_after_fetch_loop(_event)
      release
    end

    # Comes also while the listener waits, and during quiet and shutdown, when there is no turn.
    def on_client_events_poll(_event)
      release
    end

    # The supervisor is about to fork, at boot or hours later: it keeps no connection for nothing.
    def on_swarm_manager_before_fork(_event)
      Handler.close_idle
      nil
    end

    # Comes at the start, too. Native pools without a size of their own have one connection more than there are workers.
    def on_worker_scaling_up(event)
      Handler.call("following the number of workers", nil) do
        count = event.payload[:to] if event.respond_to?(:payload) && event.payload.is_a?(Hash)
        Pools.follow_workers(count) if count.is_a?(Integer) && count.positive?
      end
      nil
    end

    # Karafka has come to rest, and the process may live on: what is idle is closed, and opened again when it is needed.
    def on_app_stopped(_event)
      Handler.call("closing idle connections", nil) { Pools.all.each(&:_close_idle) }
      nil
    end

    # A forked node starts clean.
    def on_swarm_node_after_fork(_event)
      Handler.call("starting clean after a fork", nil) { ForkHook.child }
      nil
    end

    private

    def release
      Handler.release(@leaks) if @release
      nil
    end

    # Read defensively: the payload may be nil, and its objects change between Karafka's versions.
    def topic_and_partition(event)
      executor = event.payload[:job].executor
      [executor.topic.name.to_s, Integer(executor.partition)]
    rescue StandardError
      [nil, nil]
    end

    def boolean(option, value)
      return value if [true, false].include?(value)

      raise ConfigurationError, "#{option} takes true or false, and was given #{Log.describe(value)}"
    end
  end
end
