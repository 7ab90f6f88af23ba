# frozen_string_literal: true

require_relative "../../spec/support/postgres"
require_relative "../trail"

module Demo
  # What the demo has to know of PostgreSQL, and of what its driver says.
  module Postgresql
    NAME = "PostgreSQL"
    SCHEMA = File.expand_path("schema.sql", __dir__)
    # The outside client's errors.
    ERROR = PG::Error
    # How libpq begins when it could not open a connection; all other trouble is that of one that was open.
    REFUSED = /connection to server (?:at|on) .* failed:/m
    # What the driver raises when an open connection turns out to be gone: class and text.
    LOST = {
      "PG::AdminShutdown" => //, "PG::CrashShutdown" => //, "PG::UnableToSend" => //, "PG::ConnectionBad" => //,
      "PG::Error" => /server closed the connection|no connection to the server|terminating connection|not open/
    }.freeze
    ROWS = <<~SQL
      SELECT count(DISTINCT (topic, partition, "offset")), coalesce(sum(deliveries - 1), 0),
             (SELECT count(*) FROM audits)
      FROM orders
    SQL
    READY = "database system is ready to accept connections"
    ENDED = /FATAL: +terminating connection due to administrator command/
    NOTE = nil
    # The column's name, as the server takes it.
    PARTITION = "partition"
    # What the server calls the sessions of the trail's pool.
    TRAIL = Trail::APPLICATION
    private_constant :READY, :ENDED

    module_function

    def start(&block)
      Support::Postgres.start(standby: true, &block)
    end

    # @return [Hash] how a connection says whose it is, for `backends(application_name:)`
    def named(name)
      { application_name: name }
    end

    # @return [String] for a native pool
    def native_url(node)
      node.url
    end

    # A connection that broke can only be from before the restart if the server has ended none since.
    #
    # @param log [String] the primary's, of this run
    # @return [String] which connections it ended by the restart, and since
    def ended_by_restart(log)
      before, ready, since = log.rpartition(READY)
      ended = [before, since].map { |part| part.scan(ENDED).size }
      ended.reverse! if ready.empty?
      "the server ended #{ended.first} connections, and #{ended.last} since"
    end
  end
end
