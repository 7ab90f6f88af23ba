# frozen_string_literal: true

module Poolkeeper
  # What poolkeeper tells its subscribers, in the manner of Karafka's monitor, except that a subscriber that raises is
  # logged and reaches no job: events are carried by the poolkeeper thread.
  #
  # @example
  #   Poolkeeper.events.subscribe("connection.leaked") { |event| Alert.deliver(event[:topic], event[:seconds]) }
  class Events
    # Name of each event, with the level and the words of its log line.
    LINES = {
      "connection.leaked" => [:warn, "a transaction was left open"],
      "connection.discarded" => [:info, "discarded a connection, so that the server rolls back"],
      "connection.evicted" => [:info, "evicted an idle connection"],
      "connection.dropped" => [:info, "dropped a connection before its next use"],
      "release.in_transaction" => [:warn, "release inside a running transaction block: left alone"],
      "release.reported" => [:info, "a release would give a connection back"],
      "release.kept" => [:info, "release left a connection alone"],
      "incident.opened" => [:error, "incident opened"],
      "incident.closed" => [:info, "incident closed"],
      "connection.severed" => [:error, "ended a connection whose server does not answer"],
      "host.silent" => [:error, "the server has stopped answering"],
      "host.up" => [:info, "the server answers again"],
      "host.unmonitored" => [:warn, "a silent server would not be noticed"],
      "host.demoted" => [:error, "the server refuses writes: its connections are replaced"],
      "error.rescued" => [:error, "rescued"]
    }.freeze

    # One event: its name, and what is known of it.
    #
    # Keys of the payload: `:pool`, `:role`, `:shard`, `:host`, `:topic`, `:partition`, `:owner` (Integer), `:seconds`
    # (Float, an age), `:count`, `:reason`, `:mode`, `:stack` (Array of String, innermost frame first, with
    # `connection.leaked` for a lease that is older than `leak_threshold`). What is not known is nil.
    Event = Struct.new(:id, :payload) do
      # @raise [KeyError] for a key that no event has
      def [](key)
        payload.fetch(key)
      end
    end

    # Hands an event to the poolkeeper thread. Takes no lock of Ruby's, so it may be called anywhere.
    #
    # @api private
    def self.tell(name, pool: nil, owner: nil, seconds: nil, reason: nil, stack: nil)
      Notices._notify(name, pool, owner, seconds, reason, !Poolkeeper.config.act?, stack)
    end

    def initialize
      @subscribers = LINES.keys.to_h { |name| [name, [].freeze] }
      @mutex = Mutex.new
    end

    # @param name_or_listener [String, Object] the name of an event with a block, or an object whose public `on_*`
    #   methods are called (`on_connection_leaked` for `connection.leaked`)
    # @yieldparam event [Event]
    # @raise [EventNotRegistered] for a name that no event has
    def subscribe(name_or_listener, &block)
      return subscribe_to(name_or_listener, block) if block
      raise EventNotRegistered, "give a block with the name #{name_or_listener}" if name_or_listener.is_a?(String)

      LINES.each_key do |name|
        handler = "on_#{name.tr(".", "_")}"
        subscribe_to(name, name_or_listener.method(handler)) if name_or_listener.respond_to?(handler)
      end
      nil
    end

    # Calls the subscribers of one event and writes its log line; on the poolkeeper thread only.
    #
    # @api private
    def carry(notice)
      event = Event.new(notice.delete(:name), payload(notice))
      log(event)
      @subscribers.fetch(event.id, []).each do |subscriber|
        subscriber.call(event)
      rescue Exception => e # rubocop:disable Lint/RescueException -- it is the subscriber's, not ours, and is told
        Log.line(:error, "a subscriber of #{event.id} raised #{Log.describe(e)}")
      end
    end

    private

    def subscribe_to(name, callable)
      # Replaced, never changed in place: somebody may be walking through it.
      @mutex.synchronize do
        subscribers = @subscribers.fetch(name) do
          raise EventNotRegistered, "there is no event #{name}; the events are #{LINES.keys.join(", ")}"
        end
        @subscribers[name] = [*subscribers, callable].freeze
      end
      nil
    end

    def payload(notice)
      pool = Observed::Pools.registered(notice[:pool])
      native = Pools.numbered(notice[:pool]) unless pool
      mode = notice.delete(:reported) ? :report : :act
      # One subscriber's changes must not reach the next.
      notice.merge(pool: pool&.name || native&.name, role: pool&.role, shard: pool&.shard, mode: mode).freeze
    end

    def log(event)
      level, words = LINES.fetch(event.id)
      words = Leaks::LINE if Leaks.report?(event)
      # The pool's name says its role and shard already.
      known = event.payload.compact.reject { |key, value| %i[role shard].include?(key) || value == :act }
      details = known.map { |key, value| "#{key}=#{brief(value)}" }
      Log.line(level, details.empty? ? words : "#{words} (#{details.join(" ")})")
    end

    def brief(value)
      case value
      when Float then value.round(3)
      when Array then Stack.brief(value)
      else value
      end
    end
  end
end
