# frozen_string_literal: true

require_relative "servers/product"

module Support
  # Throw-away MariaDB servers, the counterpart of {Postgres}: unprivileged, on loopback only, in a temporary folder,
  # gone with this process however it ends.
  #
  # @example
  #   Support::Mariadb.start(standby: true) do |cluster|
  #     ActiveRecord::Base.establish_connection(cluster.primary.config(pool: 5))
  #     cluster.primary.restart
  #   end
  module Mariadb
    # A killed MariaDB leaves nothing but its files.
    PRODUCT = Servers::Product.new(name: "MariaDB", prefix: "poolkeeper-my-", users: %w[mysql nobody], ending: :KILL)
    Error = Servers::Error

    # The application's: it may do anything in its database, and nothing outside of it.
    ROLE = "poolkeeper"
    DATABASE = "poolkeeper"
    # Looks on, over the unix socket only.
    SUPERUSER = "observer"
    # By whom the standby asks for the primary's log.
    REPLICATOR = "replicator"

    # Starts a primary and, if asked, a replica that has caught up.
    #
    # @param standby [Boolean]
    # @param password [String, nil] asked of the user over TCP; nil lets everybody in
    # @param settings [Hash] as in my.cnf, such as `max_connections: 10, general_log: false`
    # @yieldparam cluster [Cluster] closed after the block
    # @return [Cluster, Object] the block's value where a block is given
    # @raise [Error] when MariaDB is missing or does not start
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

require_relative "mariadb/cluster"
