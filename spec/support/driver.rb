# frozen_string_literal: true

module Support
  # What has to be asked of a driver or said in a server's own words. Nothing else here knows which server it is.
  module Driver
    # Drivers keep their connection under one name up to ActiveRecord 7.0 and under another from 7.1 on.
    def self.raw(adapter)
      adapter.instance_variable_get(:@raw_connection) || adapter.instance_variable_get(:@connection)
    end

    # @param adapter [Object] of the server in question
    # @return [Module]
    def self.of(adapter)
      adapter.adapter_name == "PostgreSQL" ? PostgreSQL : MariaDB
    end

    # By the pg driver.
    module PostgreSQL
      module_function

      # @return [Integer, nil] the server process that serves a connection; nil where there is none
      def backend(adapter)
        pid = Driver.raw(adapter)&.backend_pid
        # A connection that has failed says 0.
        pid unless pid&.zero?
      rescue ::PG::ConnectionBad
        nil
      end

      # @return [Integer, nil] the descriptor of its socket
      def socket(adapter)
        Driver.raw(adapter)&.socket
      rescue ::PG::ConnectionBad
        nil
      end

      # What the server said last, as the driver keeps it.
      def in_transaction?(adapter)
        raw = Driver.raw(adapter)
        !raw.nil? && [::PG::PQTRANS_ACTIVE, ::PG::PQTRANS_INTRANS, ::PG::PQTRANS_INERROR]
          .include?(raw.transaction_status)
      rescue ::PG::ConnectionBad
        false
      end

      # Whether a connection is of no more use after an interrupt in the middle of a query.
      def fragile?
        false
      end

      # Whether there is LISTEN and NOTIFY.
      def notifies?
        true
      end

      # Whether the driver tells of transactions that ActiveRecord knows nothing of.
      def tells_transactions?
        true
      end

      def sleep(seconds)
        "SELECT 1 FROM pg_sleep(#{seconds})"
      end
    end

    # By the mysql2 driver.
    module MariaDB
      module_function

      def backend(adapter)
        Driver.raw(adapter)&.thread_id
      rescue ::Mysql2::Error
        nil
      end

      def socket(adapter)
        Driver.raw(adapter)&.socket
      rescue ::Mysql2::Error
        nil
      end

      def in_transaction?(adapter)
        raw = Driver.raw(adapter)
        !raw.nil? && !raw.closed? && raw.query("SELECT @@in_transaction").first.then do |row|
          (row.is_a?(Hash) ? row.values : row).first == 1
        end
      rescue ::Mysql2::Error
        false
      end

      # mysql2 closes it.
      def fragile?
        true
      end

      def notifies?
        false
      end

      def tells_transactions?
        false
      end

      def sleep(seconds)
        "SELECT 1 FROM (SELECT SLEEP(#{seconds})) AS slept"
      end
    end
  end
end
