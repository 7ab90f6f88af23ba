# frozen_string_literal: true

module Demo
  module Mariadb
    # What the orders' consumer says to MariaDB.
    module Writes
      CONFLICT = "ON DUPLICATE KEY UPDATE deliveries = deliveries + 1"

      AUDIT = "INSERT INTO audit (topic, `partition`, first_offset, last_offset, orders, at) " \
              "VALUES (?, ?, ?, ?, ?, ?)"

      # Not by a BEGIN of its own, which neither ActiveRecord nor mysql2 could tell of afterwards.
      def begin_transaction(connection)
        connection.begin_transaction
      end

      # Without RETURNING, nor a failure that ends the transaction around it.
      def insert_together(rows)
        Order.insert_all!(rows)
      rescue ActiveRecord::RecordNotUnique
        rows.each { |row| create(row) }
      end
    end
  end
end
