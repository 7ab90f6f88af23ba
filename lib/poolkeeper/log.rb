# frozen_string_literal: true

module Poolkeeper
  # Log lines and the last resort for errors. Nothing in here raises.
  module Log
    class << self
      # @param level [Symbol] :info, :warn or :error
      # @param text [String]
      def line(level, text)
        Poolkeeper.config.logger&.public_send(level, "[poolkeeper] #{text}")
      rescue StandardError, ScriptError, NoMemoryError, SystemStackError
        # A logger that fails must not fail the work of whoever is logged about.
        nil
      end

      # Hands an error that must not reach the application to the log, by way of the poolkeeper thread.
      #
      # @param doing [String] what was being done
      # @param error [Exception]
      def rescued(doing, error)
        Events.tell("error.rescued", reason: "#{doing}: #{describe(error)}")
      rescue InternalError => e
        # The way to that thread is what has failed.
        line(:error, "rescued #{doing}: #{describe(error)}, and telling of it: #{describe(e)}")
        nil
      rescue Exception # rubocop:disable Lint/RescueException -- there is nobody left to tell
        nil
      end

      # @return [String] a value in few words, without anything that could be a secret
      def describe(value)
        case value
        when Exception then "#{value.class}: #{value.message}".scrub("?").split.join(" ")[0, 500]
        when Symbol, Numeric, true, false, nil then value.inspect
        else "a #{value.class}"
        end
      rescue StandardError
        "something that cannot be described"
      end

      # @return [Logger]
      def default
        require "logger"
        ::Logger.new($stderr, progname: "poolkeeper", level: ::Logger::WARN)
      end
    end
  end
end
