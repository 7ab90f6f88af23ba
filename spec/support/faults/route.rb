# frozen_string_literal: true

require_relative "../balancer"
require_relative "../network/name"

module Support
  module Faults
    # How processes under test come to the servers: by the name and the standby's address, or through something that
    # stands in between.
    class Route
      # @return [Hash] host and port for the writing pool, and for the reading one, where they are not the servers' own
      attr_reader :writer, :reader
      # @return [Hash] for establish_connection
      attr_reader :database
      # @return [Array<Integer>] ports that they connect to
      attr_reader :ports

      # @param kind [Symbol, nil] :balancer, :session or :transaction (of PgBouncer); nil for nothing in between
      # @param cluster [Servers::Cluster]
      # @yieldparam route [Route] closed after the block
      def self.open(kind, cluster)
        route = new(kind, cluster)
        yield route
      ensure
        route&.close
      end

      def initialize(kind, cluster)
        @cluster = cluster
        @writer = { host: Network::Name.host }
        @reader = {}
        @database = {}
        @ports = [cluster.primary.port]
        case kind
        when :balancer then balance
        when :session, :transaction then pool(kind)
        end
      end

      # @return [void]
      def close
        @between&.close
      end

      private

      # Only what is read may be read from either.
      def balance
        @between = Balancer.new(@cluster.nodes.map { |node| [node.host, node.port] }, host: @cluster.primary.host)
        @reader = { host: @cluster.primary.host, port: @between.port }
        @ports += [@between.port]
      end

      def pool(mode)
        require_relative "../pgbouncer"
        @between = Pgbouncer.new(@cluster.primary, mode: mode)
        @writer = @reader = { host: @between.host, port: @between.port }
        @database = { prepared_statements: false, advisory_locks: false } if mode == :transaction
        @ports = [@between.port]
      end
    end
  end
end
