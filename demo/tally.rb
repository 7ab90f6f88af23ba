# frozen_string_literal: true

module Demo
  # What can be counted from outside, by a client of its own and in the server's log.
  class Tally
    # What the consumer's connections call themselves.
    APPLICATION = "demo"
    POOL_SIZE = 5

    # @param cluster [Support::Servers::Cluster]
    # @param database [Module] {Postgresql} or {Mariadb}
    def initialize(cluster, database)
      @cluster = cluster
      @database = database
      @log_begins = cluster.primary.log.size
    end

    # @return [Integer, nil] rows that another client sees; nil while the server is down
    def written
      @cluster.primary.sql("SELECT count(*) FROM orders").first.first.to_i
    rescue @database::ERROR
      nil
    end

    # @return [Array(Integer, Integer, Integer)] orders by their unique key, deliveries of those that were there
    #   already, rows of the forgotten transaction
    def rows
      @cluster.primary.sql(@database::ROWS).first.map(&:to_i)
    end

    # @return [Hash{Symbol => Integer}] what the consumer should not keep
    def leftovers
      connections = @cluster.nodes.map { |node| node.backends(application_name: APPLICATION) }
      { idle_in_transaction: connections.flatten.count { |one| one.state.to_s.start_with?("idle in transaction") },
        above_size: connections.sum { |of_node| [of_node.size - POOL_SIZE, 0].max },
        open: connections.sum(&:size) }
    end

    # @return [Array<Array<Integer>>] the rows of the trail, as {Trail.batch} names a batch
    def trail
      partition = @database::PARTITION
      @cluster.primary.sql("SELECT #{partition}, first_offset, last_offset, orders FROM audit")
              .map { |row| row.map(&:to_i) }
    end

    # @return [Hash{Symbol => Integer}] sessions of the trail's pool, as the server has them
    def trail_sessions
      sessions = @cluster.primary.backends(application_name: @database::TRAIL)
      { open: sessions.size, in_transaction: sessions.count { |one| one.state.to_s.include?("transaction") } }
    end

    # @return [String] which connections the primary ended by its restart, as its log has it
    def ended_by_restart
      @database.ended_by_restart(@cluster.primary.log[@log_begins..])
    end
  end
end
