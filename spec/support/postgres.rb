# frozen_string_literal: true

require_relative "servers/product"

module Support
  # Throw-away PostgreSQL servers: unprivileged, on loopback only, in a temporary folder, gone with this process however
  # it ends. For specs, `rake bench` and `bin/demo`.
  #
  # @example
  #   Support::Postgres.start(standby: true) do |cluster|
  #     ActiveRecord::Base.establish_connection(cluster.primary.config(pool: 5))
  #     cluster.primary.restart
  #   end
  module Postgres
    # QUIT is PostgreSQL's immediate shutdown, which after 5 s kills by itself.
    PRODUCT = Servers::Product.new(name: "PostgreSQL", prefix: "poolkeeper-pg-", users: %w[postgres nobody],
                                   ending: :QUIT)
    Error = Servers::Error

    # The application's, whose members include the superuser's rights on tables: what the observer creates, the
    # application may use, alter and drop. The last of max_connections are closed to it as to any application.
    ROLE = "poolkeeper"
    DATABASE = "poolkeeper"
    SUPERUSER = "postgres"

    # Starts a primary and, if asked, a streaming standby that has caught up.
    #
    # @param standby [Boolean]
    # @param password [String, nil] asked of the role over TCP (SCRAM); nil lets everybody in
    # @param settings [Hash] for postgresql.conf, such as `max_connections: 10, log_statement: "all"`
    # @yieldparam cluster [Cluster] closed after the block
    # @return [Cluster, Object] the block's value where a block is given
    # @raise [Error] when PostgreSQL is missing or does not start
    # @note In a forked child the servers can be observed, terminated and frozen, but only the process that started
    #   them starts them again and closes them.
    def self.start(standby: false, password: nil, **settings)
      cluster = Cluster.new(standby:, password:, **settings)
      return cluster unless block_given?

      begin
        yield cluster
      ensure
        cluster.close
      end
    end
  end
end

require_relative "postgres/cluster"
