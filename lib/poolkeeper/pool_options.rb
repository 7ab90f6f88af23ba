# frozen_string_literal: true

module Poolkeeper
  # The options of a native pool. Times are seconds; nil or false switches off what may be switched off.
  #
  # | option | default | what it is |
  # |---|---|---|
  # | `size` | Karafka's concurrency + 1, else 5 | the most connections; not given, it follows Karafka's workers |
  # | `min` | 0 | connections that are kept open though nobody uses them |
  # | `checkout_timeout` | 5 | how long to wait for a connection |
  # | `connect_timeout` | 5 | how long one attempt to connect may take |
  # | `check_idle_after` | 30 | one that was idle for longer is pinged before its first statement |
  # | `idle_timeout` | 600 | one that is idle for longer is closed, down to `min`; may be off |
  # | `max_lifetime` | 1800 | one that is older is replaced, up to 2.5 % earlier by chance; may be off |
  # | `keepalive` | off | idle ones are pinged this often |
  # | `statement_timeout` | off | how long one statement may take |
  # | `leak_threshold` | that of {Configuration}: off | a lease that is older is reported; false for none |
  # | `application_name` | "poolkeeper" | what the server shows |
  module PoolOptions
    TIMES = { checkout_timeout: 5, connect_timeout: 5, check_idle_after: 30 }.freeze
    # What may be switched off.
    LIMITS = { idle_timeout: 600, max_lifetime: 1800, keepalive: nil, statement_timeout: nil,
               leak_threshold: nil }.freeze
    OTHERS = { size: nil, min: 0, application_name: "poolkeeper" }.freeze
    DEFAULTS = { **OTHERS, **TIMES, **LIMITS }.freeze
    # Nobody means more connections than this.
    LARGEST = 10_000

    class << self
      # @return [Hash] every option
      # @raise [ConfigurationError]
      def check(name, given)
        known!(name, given.keys - DEFAULTS.keys)
        options = { name: name, **defaults, **given, sized: !given[:size].nil? }
        options[:size] = given[:size].nil? ? default_size : count(name, :size, given[:size], 1)
        options[:min] = count(name, :min, options[:min], 0)
        refuse(name, :min, "no more than size, #{options[:size]}", options[:min]) if options[:min] > options[:size]
        options.merge(times(name, options), application_name: options[:application_name]&.to_s)
      end

      # @return [Float, nil] the seconds, where they can be a time
      def positive(value)
        number = value.is_a?(Numeric) && value.real? ? value.to_f : 0.0
        number if number.finite? && number.positive?
      end

      # @return [Integer]
      def default_size
        Integer(::Karafka::App.config.concurrency) + 1
      rescue StandardError
        # No Karafka here, or one that is not set up.
        5
      end

      private

      def defaults
        { **DEFAULTS, leak_threshold: Poolkeeper.config.leak_threshold }
      end

      def times(name, options)
        needed = TIMES.keys.to_h { |time| [time, seconds(name, time, options[time])] }
        limits = LIMITS.keys.to_h { |time| [time, options[time] ? seconds(name, time, options[time]) : nil] }
        needed.merge(limits)
      end

      def known!(name, unknown)
        return if unknown.empty?

        raise ConfigurationError, "pool #{name}: there is no option #{unknown.first}; the options are " \
                                  "#{DEFAULTS.keys.join(", ")}"
      end

      def count(name, option, value, least)
        return value if value.is_a?(Integer) && value.between?(least, LARGEST)

        refuse(name, option, "an Integer from #{least} to #{LARGEST}", value)
      end

      def seconds(name, option, value)
        positive(value) || refuse(name, option, "seconds, more than 0", value)
      end

      def refuse(name, option, takes, value)
        raise ConfigurationError, "pool #{name}: #{option} takes #{takes}, and was given #{Log.describe(value)}"
      end
    end
  end
end
