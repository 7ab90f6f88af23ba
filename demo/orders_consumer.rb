# frozen_string_literal: true

require "json"
require_relative "../spec/support/karafka_worker"
require_relative "models"

module Demo
  # Prices orders and writes them, once each however often they come. Written as consumers are written, with their bad
  # habits: some batches leave leases behind on both roles, one forgets a transaction, one takes a connection on the
  # listener's thread. What it says to one database and not to the other comes from {Postgresql::Writes} or
  # {Mariadb::Writes}.
  class OrdersConsumer < Support::KarafkaConsumer
    # Seconds of work for one message, so that there is something to see.
    WORK = 0.025
    # Seconds in the transaction of a row of the trail, so that a restart meets some of them.
    AUDIT_WORK = 0.1
    # Every third batch leaves its leases behind.
    LEAVES_LEASES = 3
    # Partition and first offset of the batches with the other two habits. The first is among the last of all, for any
    # later batch on the same connection could end the transaction by its own COMMIT and hide that it was forgotten;
    # the second comes between the two faults.
    FORGETS_TRANSACTION = [7, 240].freeze
    TAKES_ON_LISTENER = [5, 130].freeze

    # On the listener thread, to which `worker.completed` never comes.
    def on_before_schedule_consume
      super
      Order.keep_connection if batch == TAKES_ON_LISTENER
    end

    def consume
      leave_leases_behind if (number % LEAVES_LEASES).zero?
      rows = price(messages.map { |message| [message, JSON.parse(message.payload)] })
      write(rows)
      leave_a_trail
      # After the orders are written: what a forgotten transaction holds was never delivered.
      forget_a_transaction if batch == FORGETS_TRANSACTION
    end

    private

    # {Trail}, where there is poolkeeper.
    def leave_a_trail; end

    def batch
      [partition, messages.first.offset]
    end

    def number
      partition + (messages.first.offset / 10)
    end

    def leave_leases_behind
      Order.keep_connection
      Record.from_standby { Customer.keep_connection }
    end

    def forget_a_transaction
      begin_transaction(Order.keep_connection)
      Audit.insert_all([{ note: "#{topic.name} #{batch.join(":")}" }])
    end

    def price(orders)
      discounts = Record.from_standby { discounts_of(orders.map { |_, order| order.fetch("customer") }.uniq) }
      orders.map do |message, order|
        sleep(WORK)
        customer = order.fetch("customer")
        cents = order.fetch("cents") * (100 - discounts.fetch(customer)) / 100
        { topic: message.topic, partition: message.partition, offset: message.offset,
          customer_id: customer, cents: }
      end
    end

    # Both ways of reading: ActiveRecord itself repeats the first on a new connection, and never the second.
    def discounts_of(customers)
      return Customer.where(id: customers).pluck(:id, :discount).to_h if number.even?

      sql = "SELECT id, discount FROM customers WHERE id IN (#{customers.join(", ")})"
      Customer.connection_pool.with_connection { |connection| connection.select_rows(sql) }.to_h
    end

    def write(rows)
      case number % 4
      when 0 then insert_together(rows)
      when 1 then rows.each { |row| create(row) }
      when 2 then Order.transaction { insert_together(rows) }
      else execute(rows)
      end
      orders_at(rows.map { |row| row[:offset] }).update_all(status: "priced")
    end

    def create(row)
      Order.create!(row)
    rescue ActiveRecord::RecordNotUnique
      met_again([row[:offset]])
    end

    def execute(rows)
      Order.connection_pool.with_connection do |connection|
        values = rows.map { |row| "(#{row.values.map { |value| connection.quote(value) }.join(", ")})" }
        columns = rows.first.keys.map { |name| connection.quote_column_name(name) }
        connection.execute("INSERT INTO orders (#{columns.join(", ")}) VALUES #{values.join(", ")} " \
                           "#{self.class::CONFLICT}")
      end
    end

    def met_again(offsets)
      orders_at(offsets).update_all("deliveries = deliveries + 1") unless offsets.empty?
    end

    def orders_at(offsets)
      Order.where(topic: topic.name, partition:, offset: offsets)
    end
  end
end
