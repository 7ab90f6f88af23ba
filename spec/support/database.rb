# frozen_string_literal: true

module Support
  # ActiveRecord on the suite's own servers: two roles (primary and streaming standby) and two shards.
  #
  # The servers are started once a run; connections and rows are each example's own.
  module Database
    SIZE = 5
    # With what is told last of all.
    LAST = "the end of an example"

    class << self
      # @return [Support::Servers::Cluster] of the family that the run is about
      def cluster
        @cluster ||= Dialect.current.start(standby: true, max_connections: 80).tap do |cluster|
          cluster.primary.sql(Dialect.current::ITEMS)
          cluster.wait_for_replay
          load_active_record
        end
      end

      def close
        @cluster&.close
      end

      # @return [Queue] the ends of examples, as the poolkeeper thread tells them
      def heard
        @heard ||= Queue.new.tap do |heard|
          Poolkeeper.events.subscribe("release.kept") do |event|
            heard << event[:reason] if event[:reason].to_s.start_with?(LAST)
          end
        end
      end

      private

      def load_active_record
        require "active_record"
        wanted = ENV.fetch("POOLKEEPER_ACTIVERECORD", nil)
        loaded = ::ActiveRecord.version.to_s
        raise "ActiveRecord #{wanted} was wanted, and #{loaded} was loaded" unless loaded.start_with?(wanted.to_s)

        base = ::ActiveRecord::Base
        base.legacy_connection_handling = false if legacy_switch?(base)
        require_relative "models"
      end

      def legacy_switch?(base)
        base.respond_to?(:legacy_connection_handling=) && !::ActiveRecord.respond_to?(:legacy_connection_handling)
      end
    end

    def cluster
      Database.cluster
    end

    # @return [Module] how things are said to the servers of this run
    def dialect
      Dialect.current
    end

    def primary
      cluster.primary
    end

    def standby
      cluster.standby
    end

    # Item and its like: writing and reading, shards one and two; each example gets fresh pools.
    def connect(**options)
      cluster
      primary.sql(dialect::EMPTY_ITEMS)
      # ActiveRecord's own reaper would come once a minute, whatever an example is at.
      options = { pool: SIZE, reaping_frequency: 0, **options }
      configurations = { "primary" => primary.config(**options),
                         "replica" => standby.config(replica: true, **options),
                         "one" => primary.config(**options),
                         "one_replica" => standby.config(replica: true, **options) }
      configurations.transform_values! { |configuration| configuration.transform_keys(&:to_s) }
      ActiveRecord::Base.configurations = { "default_env" => configurations }
      Models.connect
      Poolkeeper.observe
    end

    def disconnect
      Poolkeeper.configure do |config|
        config.leak_threshold = nil
        config.host_monitor = false
      end
      Poolkeeper.release
      pools.each do |pool|
        pool.disconnect! unless pool.discarded?
      end
      settle_incidents
      Models.disconnect
      # As the poolkeeper thread does every ten seconds.
      Poolkeeper::Observed::Walk.tidy
      hear_out
      collect
      await_goodbyes
    end

    # What this example has had to tell is told before the next one listens.
    def hear_out
      Poolkeeper::Background.ensure_running
      last = "#{Database::LAST} #{Object.new.object_id}"
      heard = Database.heard
      Poolkeeper::Events.tell("release.kept", reason: last)
      give_time { !heard.empty? && heard.pop == last }
    end

    # A server gets to the goodbyes when it does, and a host monitor says its own when it next would have asked.
    def await_goodbyes
      give_time { [primary, standby].all? { |node| !node.running? || node.backends.empty? } }
    end

    # It is for the examples to say what must be: some leave a session to nobody.
    def give_time(&block)
      Support.wait_until(timeout: 5, &block)
    rescue DeadlineError
      nil
    end

    # A connection whose thread was killed before ActiveRecord had it is nobody's: the collector closes it, and the next
    # example is to count none of its sockets.
    def collect
      GC.start if [primary, standby].any? { |node| Proc.sockets_to(node.port).positive? }
    end

    # One example's incident is not the next one's: nothing is left in the watch, a checkout waits for whoever is still
    # at work on hang-ups, and a connection opened after an incident ends it.
    def settle_incidents
      writing_pool.with_connection { |adapter| adapter.select_value("SELECT 1") }
      writing_pool.disconnect!
    end

    # @return [Array<ActiveRecord::ConnectionAdapters::ConnectionPool>] every pool
    def pools
      Poolkeeper::Observed::Pools.all
    end

    def writing_pool
      Models::Item.connection_pool
    end

    # Takes a connection for the present thread that stays its own, on any version.
    def hold(model = Models::Item, role: :writing, shard: :default)
      ActiveRecord::Base.connected_to(role: role, shard: shard) do
        model.respond_to?(:lease_connection) ? model.lease_connection : model.connection
      end
    end

    # Runs a block on a thread of its own and answers its value.
    def on_thread(&block)
      Thread.new(&block).tap { |thread| thread.report_on_exception = false }.value
    end

    # Fills the pool with so many idle connections, each used once.
    def warm_up(count = SIZE, pool: writing_pool)
      Array.new(count) { pool.checkout.tap { |adapter| adapter.select_value("SELECT 1") } }
           .each { |adapter| pool.checkin(adapter) }
    end

    # @return [Integer] rows as another client counts them
    def rows(where = "true")
      primary.sql("SELECT count(*) FROM items WHERE #{where}").dig(0, 0).to_i
    end

    # @return [Integer] connections that the server sees idle in a transaction
    def idle_in_transaction
      primary.backends(state: /idle in transaction/).size
    end

    # @return [Integer] the number by which the server knows a connection
    def backend_of(adapter)
      adapter.select_value(dialect::OWN_PID)
    end

    # Writes a row with a statement that ActiveRecord neither knows nor repeats; answers what another client then sees.
    #
    # @return [Integer] rows more than before
    def written_by(adapter)
      before = rows
      adapter.execute("INSERT INTO items (n) VALUES (-1)")
      rows - before
    end

    # @return [Hash] what is counted for the writing pool
    def counts
      # A pool of an earlier example may still be known by the name.
      Poolkeeper.stats.fetch(Poolkeeper::Observed::Pools.registered(writing_pool.object_id).name)
    end
  end
end
