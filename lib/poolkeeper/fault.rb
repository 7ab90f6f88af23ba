# frozen_string_literal: true

require "rbconfig"

module Poolkeeper
  # Tells what an error says about the connection that it happened on.
  #
  # An error of ActiveRecord has the driver's error as its cause, an application's error may have both, so the whole
  # chain is looked at. This file gathers facts; what they mean is decided by one table in Rust (`ext/core/src/fault`).
  #
  # @example
  #   Poolkeeper::Fault.of(error)       # => :dead
  #   Poolkeeper::Fault.pool_of(error)  # => #<ActiveRecord::ConnectionAdapters::ConnectionPool ...>
  #
  # @note Nothing here raises, whatever the error does: errors reach us from everybody's code, with a `message` that
  #   fails, a `cause` that loops, or without a backtrace. A failure of our own is logged.
  module Fault
    # How many links of a chain are looked at. Real chains have two to four.
    DEPTH = 16

    # How many bytes of a message are looked at; the table looks no further.
    TEXT = 2_000

    # How many frames of a backtrace are looked at.
    FRAMES = 30

    # Classes remembered. Reloading makes new ones, so this must end somewhere.
    REMEMBERED = 512

    # What PG::Result calls PG_DIAG_SQLSTATE and PG_DIAG_SEVERITY_NONLOCALIZED; part of the protocol.
    SQLSTATE = "C".ord
    SEVERITY = "V".ord

    # Ruby files of the drivers, and ActiveRecord's adapters. SQLite's opens files, not sockets.
    DRIVER = %r{
      /active_record/connection_adapters/(?!sqlite3)|
      (?:/gems/[^/]+/lib|/contrib/ruby/lib|/(?:vendor|site)_ruby(?:/[\d.]+)?)/(?:pg|mysql2|trilogy)(?:/|\.rb:)
    }x

    # What may stand between a driver and the place where it raised: Ruby's own library, fiber schedulers, and the
    # instrumentation that wraps a driver's methods.
    BETWEEN = %r{
      \A<internal:|
      \A#{Regexp.union(RbConfig::CONFIG.values_at("rubylibdir", "rubyarchdir"))}/|
      /gems/(?:timeout|openssl|monitor|async|io-event|datadog|ddtrace|newrelic_rpm|opentelemetry|elastic-apm|
        appsignal|instana|scout_apm|sentry|skylight)[-_]
    }x

    # The originals, for an exception may have methods of its own by these names.
    CLASS_OF = Kernel.instance_method(:class)
    CAUSE_OF = Exception.instance_method(:cause)
    NAME_OF = Module.instance_method(:name)
    ANCESTORS_OF = Module.instance_method(:ancestors)

    # What may go wrong in our own part. Exceptions that others send to this thread pass.
    FAILURES = [StandardError, ScriptError, NoMemoryError, SystemStackError].freeze

    private_constant :SQLSTATE, :SEVERITY, :DRIVER, :BETWEEN, :CLASS_OF, :CAUSE_OF, :NAME_OF, :ANCESTORS_OF, :FAILURES

    @interests = {}.compare_by_identity

    class << self
      # Classifies an error by itself and its causes.
      #
      # @param error [Exception, Object] anything; what is no exception says nothing
      # @return [Symbol, nil] :dead, :expired, :demoted, :unreachable or :overloaded; nil where the error is no fault of
      #   a connection
      def of(error)
        facts = chain(error).filter_map { |link| facts(link) }
        facts.empty? ? nil : _classify(facts)
      rescue *FAILURES => e
        Log.rescued("classifying an error", e)
      end

      # Finds the pool that an error happened in: the first one that any link of its chain names.
      #
      # @param error [Exception, Object]
      # @return [ActiveRecord::ConnectionAdapters::ConnectionPool, nil] nil wherever the error does not know: before
      #   ActiveRecord 7.1 only one that a checkout raised does
      def pool_of(error)
        chain(error).each do |link|
          pool = ask { link.respond_to?(:connection_pool) ? link.connection_pool : Observed::Refusal.pool_of(link) }
          return pool if pool
        end
        nil
      rescue *FAILURES => e
        Log.rescued("looking for the pool of an error", e)
      end

      # Finds the error of a native pool, which has acted on it already.
      #
      # @param error [Exception, Object]
      # @return [ConnectionError, nil]
      def native(error)
        chain(error).find { |link| ConnectionError === link && link.fault } # rubocop:disable Style/CaseEquality
      end

      private

      # The error and its causes, each once.
      def chain(error)
        links = []
        while exception?(error) && links.size < DEPTH && links.none? { |link| link.equal?(error) }
          links << error
          error = cause(error)
        end
        links
      end

      def exception?(object)
        Exception === object # rubocop:disable Style/CaseEquality -- a BasicObject has no is_a?
      end

      def cause(error)
        error.cause
      rescue Exception # rubocop:disable Lint/RescueException -- others' code; what Ruby noted is still there
        CAUSE_OF.bind_call(error)
      end

      # What the table wants to know of one error; nil where it wants nothing, as of every ordinary error.
      def facts(error)
        type = CLASS_OF.bind_call(error)
        interest = @interests.fetch(type) { remember(type) }
        return unless interest

        names = names(type)
        sqlstate, number, severity = codes(error, names)
        [names, sqlstate, number, text(error), interest == :origin && in_driver?(error), severity]
      end

      def remember(type)
        @interests.clear if @interests.size >= REMEMBERED
        @interests[type] = _interest(names(type))
      end

      def names(type)
        ANCESTORS_OF.bind_call(type).filter_map { |ancestor| NAME_OF.bind_call(ancestor) }
      end

      # SQLSTATE, number and severity. Only drivers are asked: `error_code` of a payment service is no number of
      # MySQL's, and `errno` of a SystemCallError neither.
      def codes(error, names)
        if names.include?("PG::Error")
          [field(error, SQLSTATE), nil, field(error, SEVERITY)]
        elsif names.include?("Mysql2::Error")
          [ask { error.sql_state }, ask { error.error_number }]
        elsif names.include?("Trilogy::Error")
          [nil, ask { error.error_code }]
        end
      end

      # nil without a result, as after libpq's own errors, and where the result was cleared since.
      def field(error, code)
        ask { error.result&.error_field(code) }
      end

      def text(error)
        ask { String(error.message.byteslice(0, TEXT)) } || ""
      end

      # Whether the error was raised by a driver itself: the first frame that tells must be a driver's. Not any frame,
      # for the block of a transaction runs on top of the adapter's frames, and what fails in it may be a web service.
      def in_driver?(error)
        ask do
          frames = error.backtrace.first(FRAMES).grep(String)
          DRIVER.match?(frames.find { |frame| DRIVER.match?(frame) || !BETWEEN.match?(frame) })
        end || false
      end

      # Runs a method of somebody else's error. Whatever it raises, RSpec's and others' bare Exceptions included, the
      # answer is then missing.
      def ask
        yield
      rescue Exception # rubocop:disable Lint/RescueException
        nil
      end
    end
  end
end
