# frozen_string_literal: true

module Demo
  module Postgresql
    # What the orders' consumer says to PostgreSQL.
    module Writes
      KEY = %i[topic partition offset].freeze
      CONFLICT = "ON CONFLICT ON CONSTRAINT orders_by_message DO UPDATE SET deliveries = orders.deliveries + 1"

      AUDIT = "INSERT INTO audit (topic, partition, first_offset, last_offset, orders, at) " \
              "VALUES ($1, $2, $3, $4, $5, $6)"

      # By a BEGIN that ActiveRecord knows nothing of. What follows must not be `create!`, whose own COMMIT would end
      # this transaction as well.
      def begin_transaction(connection)
        connection.execute("BEGIN")
      end

      def insert_together(rows)
        inserted = Order.insert_all(rows, unique_by: KEY, returning: %i[offset]).rows.flatten
        met_again(rows.map { |row| row[:offset] } - inserted)
      end
    end
  end
end
