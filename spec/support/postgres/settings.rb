# frozen_string_literal: true

require_relative "server_log"

module Support
  module Postgres
    # What stands in a node's postgresql.conf.
    class Settings
      DEFAULTS = {
        listen_addresses: "127.0.0.1",
        max_connections: 60,
        shared_buffers: "16MB",
        # Killing the server loses nothing that the kernel has; only the machine's crash would, and then the folder is
        # of no use anyway.
        fsync: false,
        full_page_writes: false,
        wal_level: "replica",
        hot_standby: true,
        max_wal_senders: 4,
        wal_keep_size: "64MB",
        # The folder may lie in memory, see Place.
        max_wal_size: "256MB",
        # 5 s by default, which every test of a restarted primary would wait.
        wal_retrieve_retry_interval: "100ms",
        # Files in the data folder, which vanish with it, instead of /dev/shm.
        dynamic_shared_memory_type: "mmap",
        jit: false,
        timezone: "UTC",
        log_timezone: "UTC",
        log_connections: true,
        log_disconnections: true,
        log_line_prefix: ServerLog::PREFIX,
        log_statement: "none"
      }.freeze

      # @param settings [Hash] as in postgresql.conf; those given later win
      def initialize(*settings)
        @settings = settings.inject(DEFAULTS) { |all, more| all.merge(more) }
      end

      # @return [String] text of postgresql.conf
      def to_s
        @settings.map { |name, value| "#{name} = '#{text(value).gsub("'", "''")}'\n" }.join
      end

      private

      def text(value)
        { true => "on", false => "off" }.fetch(value) { value.to_s }
      end
    end
  end
end
