# frozen_string_literal: true

module Poolkeeper
  # The options of {Poolkeeper.configure}.
  #
  # - `mode`: `:act` (the default) or `:report`, which logs and counts what would be released, discarded or evicted,
  #   and does none of it. Native pools are poolkeeper's own, and keep their rules in either.
  # - `active_record`: `true` (the default) or `false`: whether ActiveRecord's pools are observed.
  # - `watch`: `true` (the default) or `false`: whether hang-ups are learnt as they happen; else each socket is looked
  #   at when its connection is checked out.
  # - `leak_threshold`: seconds after which a lease is reported, once, with the stack of whoever took it; `nil` (the
  #   default) or `false` for no such reports. For ActiveRecord's pools, and native ones that are made later and have
  #   no threshold of their own.
  # - `logger`: an object with `info`, `warn` and `error`, or `nil` for no log lines; Karafka's logger by default, else
  #   one that writes warnings to standard error.
  class Configuration
    MODES = %i[act report].freeze
    OPTIONS = %i[mode active_record watch leak_threshold logger].freeze

    # @return [Symbol] `:act` or `:report`
    attr_reader :mode
    # @return [Boolean]
    attr_reader :active_record
    # @return [Boolean]
    attr_reader :watch
    # @return [Float, nil]
    attr_reader :leak_threshold

    def initialize
      @mode = :act
      @active_record = true
      @watch = true
    end

    # @param mode [Symbol] `:act` or `:report`
    # @raise [ConfigurationError] for anything else
    def mode=(mode)
      refuse(:mode, ":act or :report", mode) unless MODES.include?(mode)
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
