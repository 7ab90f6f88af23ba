# frozen_string_literal: true

module Support
  module Faults
    # Matches nothing.
    NEVER = /(?!)/

    # One kind of harm: how it is done, and what it may cost.
    #
    # @!attribute name [String]
    # @!attribute harm [Proc] does it, and opens an incident for each thing done: see {Scene}
    # @!attribute away [Regexp] what a job may say that began while the server was not there
    # @!attribute victims [Integer, nil] failures in flight of all workers together; one a worker without it
    # @!attribute blocked [Numeric, Hash, nil] seconds that a job may be blocked which was under way, or met the
    #   silence; by the kind of the process under test, where they differ
    # @!attribute patience [Numeric, nil] seconds for any other; as long as it lasted, and one more, without it
    # @!attribute lasts [Numeric] seconds
    # @!attribute long [Numeric, nil] seconds of a query that every job begins with
    # @!attribute route [Symbol, nil] what stands between the workers and the servers: see {Route}
    # @!attribute mechanisms [Hash] what poolkeeper is told
    # @!attribute only [Symbol, nil] the one family of servers on which it can be done
    # @!attribute database [Hash] for establish_connection
    # @!attribute native [Hash] options of native pools
    Fault = Struct.new(:name, :harm, :away, :victims, :blocked, :patience, :lasts, :long, :route, :mechanisms, :only,
                       :database, :native, keyword_init: true) do
      def initialize(name:, harm:, away: NEVER, lasts: 0, mechanisms: {}, database: {}, native: {}, **more)
        super
      end

      # @param seconds [Numeric, nil] nil for as long as by default
      # @return [Fault]
      def lasting(seconds)
        seconds ? dup.tap { |other| other.lasts = seconds } : self
      end

      # @param kind [String] of the process under test
      # @return [Numeric, nil]
      def blocked_for(kind)
        blocked.is_a?(Hash) ? blocked[kind] : blocked
      end

      def on?(family)
        only.nil? || only == family
      end
    end
  end
end
