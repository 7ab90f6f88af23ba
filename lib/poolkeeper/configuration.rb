# frozen_string_literal: true

module Poolkeeper
  # The options of {Poolkeeper.configure}.
  #
  # - `mode`: `:act` (the default) or `:report`, which logs and counts what would be released, discarded or evicted,
  #   and does none of it. Native pools are poolkeeper's own, and keep their rules in either.
  # - `active_record`: `true` (the default) or `false`: whether ActiveRecord's pools are observed.
  # - `watch`: `true` (the default) or `false`: whether hang-ups are learnt as they happen; else each socket is looked
  #   at when its connection is checked out.
  # - `socket_deadline`: seconds (10) after which the kernel gives up a peer that has vanished, set on every socket over
  #   TCP (Linux); what the database configuration sets there wins. `false` leaves sockets alone.
  # - `host_monitor`: `{ after: 5, interval: 1, timeout: 1, failures: 3 }`: a lease older than `after` seconds has its
  #   server asked every `interval` seconds over a connection of the monitor's own; where it says nothing for `timeout`
  #   seconds, `failures` times in a row, the leases older than `after` are ended. `timeout`, where it is not given, is
  #   the interval. `false` for none.
  # - `leak_threshold`: seconds after which a lease is reported, once, with the stack of whoever took it; `nil` (the
  #   default) or `false` for no such reports. For ActiveRecord's pools, and native ones that are made later and have
  #   no threshold of their own.
  # - `logger`: an object with `info`, `warn` and `error`, or `nil` for no log lines; Karafka's logger by default, else
  #   one that writes warnings to standard error.
  class Configuration
    MODES = %i[act report].freeze
    OPTIONS = %i[mode active_record watch socket_deadline host_monitor leak_threshold logger].freeze
    # In seconds, but for the failures.
    HOST_MONITOR = { after: 5, interval: 1, timeout: nil, failures: 3 }.freeze
    # The kernel counts in whole seconds, and to no more.
    DEADLINES = (1..7200)

    # @return [Symbol] `:act` or `:report`
    attr_reader :mode
    # @return [Boolean]
    attr_reader :active_record
    # @return [Boolean]
    attr_reader :watch
    # @return [Numeric, false] seconds
    attr_reader :socket_deadline
    # @return [Hash{Symbol => Numeric}, false] after, interval and timeout in seconds, and failures
    attr_reader :host_monitor
    # @return [Float, nil]
    attr_reader :leak_threshold

    def initialize
      self.mode = :act
      @active_record = true
      @watch = true
      self.socket_deadline = 10
      self.host_monitor = {}
    end

    # @param mode [Symbol] `:act` or `:report`
    # @raise [ConfigurationError] for anything else
    def mode=(mode)
      refuse(:mode, ":act or :report", mode) unless MODES.include?(mode)
      tell("how repairs are made") { Monitors._report(mode == :report) }
      @mode = mode
    end

    # @param wanted [Boolean] false leaves ActiveRecord's pools alone
    # @raise [ConfigurationError] for anything else
    def active_record=(wanted)
      @active_record = boolean(:active_record, wanted)
      return if wanted || !Observed.observing?

      @active_record = true
      raise ConfigurationError, "active_record can be switched off only before anything else is called"
    end

    # @param wanted [Boolean] false for sockets that are looked at when their connection is checked out
    # @raise [ConfigurationError] for anything else
    def watch=(wanted)
      @watch = boolean(:watch, wanted)
      Core._want_watch(wanted)
    end

    # @param seconds [Numeric, false] from 1 to 7200; for sockets that are seen from now on
    # @raise [ConfigurationError] for anything else
    def socket_deadline=(seconds)
      unless seconds == false || (number?(seconds) && DEADLINES.cover?(seconds))
        refuse(:socket_deadline, "seconds from 1 to 7200, or false", seconds)
      end
      tell("the deadline of sockets") { Monitors._deadline(seconds || nil) }
      @socket_deadline = seconds
    end

    # @param settings [Hash{Symbol => Numeric}, false] what is not given is as it is by default
    # @raise [ConfigurationError] for anything else
    def host_monitor=(settings)
      unless settings == false || settings.is_a?(Hash)
        refuse(:host_monitor, "a Hash with #{HOST_MONITOR.keys.join(", ")}, or false", settings)
      end
      settings &&= monitor(settings)
      wanted = (settings || HOST_MONITOR.merge(after: nil, timeout: 1)).values_at(*HOST_MONITOR.keys)
      tell("how hosts are watched over") { Monitors._want(*wanted) }
      @host_monitor = settings
    end

    # @param seconds [Numeric, nil, false] more than 0; nil or false for no reports, and no stacks taken
    # @raise [ConfigurationError] for anything else
    def leak_threshold=(seconds)
      @leak_threshold = seconds ? PoolOptions.positive(seconds) || refuse_threshold(seconds) : nil
      Core._leak_threshold(@leak_threshold)
      Observed::Stacks.want(!@leak_threshold.nil?)
    end

    # @param logger [#warn, #info, #error, nil] nil for no log lines
    # @raise [ConfigurationError] for anything else
    def logger=(logger)
      unless logger.nil? || %i[info warn error].all? { |level| logger.respond_to?(level) }
        refuse(:logger, "an object that responds to info, warn and error, or nil", logger)
      end
      @logger = logger
      @logger_chosen = true
    end

    # @return [#warn, nil] the chosen logger, else Karafka's, else one that writes to standard error
    def logger
      return @logger if @logger_chosen

      karafka_logger || (@default_logger ||= Log.default)
    end

    # Makes a native pool, which {Poolkeeper.[]} knows by its name.
    #
    # @param name [Symbol, String]
    # @param url [String] such as `postgres://user:password@host:5432/database`
    # @param options [Hash] see {PoolOptions}
    # @return [Pool]
    # @raise [ConfigurationError] for an unknown option, or a value it cannot take
    def pool(name, url, **options)
      Pools.define(name, url, **options)
    end

    # @return [Boolean] whether repairs are made, not only reported
    def act?
      @mode == :act
    end

    private

    def karafka_logger
      ::Karafka.logger if defined?(::Karafka) && ::Karafka.respond_to?(:logger)
    rescue StandardError
      # Before Karafka's application class is set up it has no logger to give.
      nil
    end

    # A bug of ours is none of the application's.
    def tell(what, &block)
      Handler.call("setting #{what}", nil, &block)
    end

    def monitor(given)
      unknown = given.keys - HOST_MONITOR.keys
      refuse(:host_monitor, "#{HOST_MONITOR.keys.join(", ")}, and no others,", unknown.first) if unknown.any?
      settings = HOST_MONITOR.merge(given)
      settings[:timeout] = settings[:interval] if settings[:timeout].nil?
      settings.each { |name, value| monitor_setting(name, value) }
      return settings.freeze if settings[:timeout] <= settings[:interval]

      refuse(:host_monitor, "a timeout no longer than the interval", settings[:timeout])
    end

    def monitor_setting(name, value)
      if name == :failures
        return if value.is_a?(Integer) && value.between?(1, 1000)

        refuse("host_monitor[:failures]", "an Integer from 1 to 1000", value)
      end
      return if number?(value) && value.between?(0.01, 86_400)

      refuse("host_monitor[:#{name}]", "seconds from 0.01 to 86400", value)
    end

    def number?(value)
      value.is_a?(Numeric) && value.real? && value.to_f.finite?
    end

    def boolean(option, value)
      [true, false].include?(value) ? value : refuse(option, "true or false", value)
    end

    def refuse_threshold(seconds)
      refuse(:leak_threshold, "seconds, more than 0; nil or false for none", seconds)
    end

    def refuse(option, takes, value)
      raise ConfigurationError, "#{option} takes #{takes}, and was given #{Log.describe(value)}"
    end

    def method_missing(name, *)
      option = name.to_s.delete_suffix("=")
      raise ConfigurationError, "there is no option #{option}; the options are #{OPTIONS.join(", ")}"
    end

    # Nothing beyond the options: an unknown name is an error that says so.
    def respond_to_missing?(*)
      false
    end
  end
end
