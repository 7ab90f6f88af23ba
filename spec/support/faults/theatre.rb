# frozen_string_literal: true

require "fileutils"
require "tmpdir"
require_relative "../wait"
require_relative "../dialect"
require_relative "route"
require_relative "run"

module Support
  module Faults
    # A primary and a standby with an address each, in a network of their own, and the runs that are given there.
    class Theatre
      # The suite's own figures: many clients, and a server that notices by itself that one has vanished. PostgreSQL
      # does not stop while one is logging in, which a killed thread never ends.
      SETTINGS = {
        postgresql: { max_connections: 200, tcp_keepalives_idle: 1, tcp_keepalives_interval: 1,
                      tcp_keepalives_count: 2, authentication_timeout: 3 },
        mariadb: { max_connections: 200, tcp_keepalive_time: 1, tcp_keepalive_interval: 1, tcp_keepalive_probes: 2,
                   general_log: false }
      }.freeze
      TABLE = { postgresql: "id serial PRIMARY KEY", mariadb: "id integer AUTO_INCREMENT PRIMARY KEY" }.freeze
      # Workers of one run have numbers that no other run's have.
      NUMBERS = 1_000
      private_constant :NUMBERS

      # @return [Servers::Cluster]
      attr_reader :cluster
      # @return [Network::Name] leads to the primary
      attr_reader :name

      # @yieldparam theatre [Theatre] closed after the block
      def self.open
        theatre = new
        yield theatre
      ensure
        theatre&.close
      end

      def initialize
        Network.prepare
        @family = Dialect.family
        @cluster = Dialect.current.start(standby: true, addresses: Network::ADDRESSES, **SETTINGS.fetch(@family))
        @folder = Dir.mktmpdir("poolkeeper-faults-")
        @name = Network::Name.new(File.join(@folder, "hosts"), cluster.primary.host)
        @number = 0
        cluster.primary.sql("CREATE TABLE numbers (#{TABLE.fetch(@family)}, worker integer NOT NULL, " \
                            "number integer NOT NULL); CREATE INDEX numbers_worker ON numbers (worker, number)")
        cluster.wait_for_replay
      end

      # @param fault [Fault]
      # @param subjects [Array<Hash>] each with kind ("observed", "native" or "bare"), workers and manner
      # @param seed [Integer] of what is left to chance
      # @return [Hash{Subject => Verdict}]
      def run(fault, subjects, seed: 1)
        name.move(cluster.primary.host)
        Route.open(fault.route, cluster) do |route|
          Run.new(self, fault, subjects.map { |one| subject(fault, route, **one) }, Random.new(seed), route.ports).call
        end
      end

      def close
        @cluster&.close
        FileUtils.rm_rf(@folder) if @folder
      end

      private

      def subject(fault, route, kind:, workers: 5, manner: "plain")
        first = (@number += 1) * NUMBERS
        Subject.new(File.join(@folder, first.to_s), kind: kind, title: "#{fault.name}, #{kind}", first: first,
                                                    count: workers, manner: manner, hosts: name.path,
                                                    mechanisms: fault.mechanisms, long: fault.long,
                                                    subject: pools(fault, route, kind, workers))
      end

      def pools(fault, route, kind, size)
        return native(fault, route, size) if kind == "native"

        more = { pool: size, connect_timeout: 5, **fault.database, **route.database }
        { kind: "observed", bare: kind == "bare", writer: cluster.primary.config(**route.writer, **more),
          reader: cluster.standby.config(**route.reader, **more) }
      end

      def native(fault, route, size)
        writer, reader = [[cluster.primary, route.writer], [cluster.standby, route.reader]].map do |node, place|
          host, port = { host: node.host, port: node.port, **place }.values_at(:host, :port)
          node.url.sub("mysql2:", "mariadb:").sub("#{node.host}:#{node.port}", "#{host}:#{port}")
        end
        { kind: "native", writer: writer, reader: reader, options: { size: size, **fault.native } }
      end
    end
  end
end
