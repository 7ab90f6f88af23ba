# frozen_string_literal: true

module Support
  module Mariadb
    # What stands in a node's my.cnf. Every option is known to MariaDB 10.11 and 11.8.
    class Settings
      DEFAULTS = {
        bind_address: "127.0.0.1",
        skip_name_resolve: true,
        # 11.8 would make itself a certificate at each start.
        ssl: false,
        max_connections: 60,
        character_set_server: "utf8mb4",
        # 11.8's default is one that older clients do not know.
        collation_server: "utf8mb4_general_ci",
        default_time_zone: "+00:00",
        innodb_buffer_pool_size: "16M",
        innodb_log_file_size: "8M",
        innodb_buffer_pool_dump_at_shutdown: false,
        innodb_buffer_pool_load_at_startup: false,
        # Killing the server loses nothing that the kernel has; only the machine's crash would, and then the folder is
        # of no use anyway. So what is committed is written, and never synced. Pages are written twice all the same: one
        # that a kill cuts in half could not be mended.
        innodb_flush_log_at_trx_commit: 2,
        innodb_flush_method: "nosync",
        innodb_fast_shutdown: 2,
        log_bin: "binlog",
        binlog_format: "ROW",
        log_slave_updates: true,
        gtid_strict_mode: true,
        relay_log: "relay",
        relay_log_recovery: true,
        sync_master_info: 0,
        sync_relay_log: 0,
        sync_relay_log_info: 0,
        general_log: true,
        # Who is in a transaction, even an empty one, and what a client calls itself. (innodb_trx is a copy that is not
        # made anew as long as somebody looks more often than every 0.1 s.)
        performance_schema: true,
        performance_schema_instrument: "transaction=ON",
        performance_schema_consumer_events_transactions_current: true,
        performance_schema_consumer_events_statements_current: true,
        # 80 MB less than by default.
        performance_schema_digests_size: 0,
        performance_schema_events_stages_history_long_size: 0,
        performance_schema_events_statements_history_long_size: 0,
        performance_schema_events_transactions_history_long_size: 0,
        performance_schema_events_waits_history_long_size: 0,
        performance_schema_max_cond_classes: 0,
        performance_schema_max_file_classes: 0,
        performance_schema_max_memory_classes: 0,
        performance_schema_max_mutex_classes: 0,
        performance_schema_max_rwlock_classes: 0,
        performance_schema_max_table_handles: 0,
        performance_schema_max_table_instances: 0
      }.freeze

      # @param settings [Hash] as in my.cnf; those given later win
      def initialize(*settings)
        @settings = settings.inject(DEFAULTS) { |all, more| all.merge(more) }
      end

      # @return [String] text of my.cnf
      def to_s
        ["[mariadbd]", *@settings.map { |name, value| "#{name} = #{text(value)}" }, ""].join("\n")
      end

      private

      def text(value)
        { true => "ON", false => "OFF" }.fetch(value) { value.to_s }
      end
    end
  end
end
