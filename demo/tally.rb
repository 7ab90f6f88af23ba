# frozen_string_literal: true

module Demo
  # What can be counted from outside, by a client of its own and in the server's log.
  class Tally
    # How the consumer's connections are called in pg_stat_activity.
    APPLICATION = "demo"
    POOL_SIZE = 5
    READY = "database system is ready to accept connections"
    ENDED = /FATAL: +terminating connection due to administrator command/
    ROWS = <<~SQL
      SELECT count(DISTINCT (topic, partition, "offset")), coalesce(sum(deliveries - 1), 0),
             (SELECT count(*) FROM audits)
      FROM orders
    SQL

    # @param cluster [Support::Postgres::Cluster]
    def initialize(cluster)
      @cluster = cluster
      @log_begins = cluster.primary.log.size
    end

    # @return [Integer, nil] rows that another client sees; nil while the server is down
    def written
      @cluster.primary.psql("SELECT count(*) FROM orders").first.first.to_i
    rescue PG::Error
      nil
    end

    # @return [Array(Integer, Integer, Integer)] orders by their unique key, deliveries of those that were there
    #   already, rows of the forgotten transaction
    def rows
      @cluster.primary.psql(ROWS).first.map(&:to_i)
    end

    # @return [Hash{Symbol => Integer}] what the consumer should not keep
    def leftovers
      connections = @cluster.nodes.map { |node| node.backends(application_name: APPLICATION) }
      { idle_in_transaction: connections.flatten.count { |one| one.state.to_s.start_with?("idle in transaction") },
        above_size: connections.sum { |of_node| [of_node.size - POOL_SIZE, 0].max },
        open: connections.sum(&:size) }
    end

    # A connection that broke can only be from before the restart if the server has ended none since.
    #
    # @return [Array(Integer, Integer)] connections that the primary ended by the restart, and since
    def ended_by_restart
      before, ready, since = @cluster.primary.log[@log_begins..].rpartition(READY)
      ready.empty? ? [since.scan(ENDED).size, 0] : [before.scan(ENDED).size, since.scan(ENDED).size]
    end
  end
end
