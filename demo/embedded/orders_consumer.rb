# frozen_string_literal: true

require "json"
require "timeout"
require_relative "../../spec/support/karafka_worker"
require_relative "../trail"

module Demo
  module Embedded
    # The orders' consumer without ActiveRecord: it prices orders and writes them, once each however often they come,
    # through native pools alone. It has the bad habits of the other one, and one batch is cut off by a Timeout.
    class OrdersConsumer < Support::KarafkaConsumer
      include Trail

      # Seconds of work for one message, so that there is something to see.
      WORK = 0.025
      # None in the transaction of a row of the trail: whoever writes keeps all others from writing.
      AUDIT_WORK = 0
      # Every third batch leaves its leases behind.
      LEAVES_LEASES = 3
      # Partition and first offset of the batches with the other habits, and of the one that is cut off.
      FORGETS_TRANSACTION = [7, 240].freeze
      TAKES_ON_LISTENER = [5, 130].freeze
      CUT_OFF = [2, 100].freeze

      COLUMNS = 'topic, partition, "offset", customer_id, cents'
      CONFLICT = 'ON CONFLICT (topic, partition, "offset") DO UPDATE SET deliveries = deliveries + 1'
      AUDIT = "INSERT INTO audit (topic, partition, first_offset, last_offset, orders, at) VALUES (?, ?, ?, ?, ?, ?)"

      # On the listener thread, to which `worker.completed` never comes.
      def on_before_schedule_consume
        super
        Poolkeeper[:orders].lease if batch == TAKES_ON_LISTENER
      end

      def consume
        leave_leases_behind if (number % LEAVES_LEASES).zero?
        rows = price(messages.map { |message| [message, JSON.parse(message.payload)] })
        cut_off(rows) if batch == CUT_OFF && !retrying?
        write(rows)
        leave_a_trail
        # At the end of all: it holds SQLite's lock for writing, for which this worker would wait like any other.
        forget_a_transaction if batch == FORGETS_TRANSACTION
      end

      private

      def batch
        [partition, messages.first.offset]
      end

      def number
        partition + (messages.first.offset / 10)
      end

      def leave_leases_behind
        Poolkeeper[:orders].lease
        Poolkeeper[:customers].lease
      end

      def forget_a_transaction
        db = Poolkeeper[:orders].lease
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO audits (note) VALUES (?)", "#{topic.name} #{batch.join(":")}")
      end

      # In the middle of its transaction: of what it has written nothing may stay.
      def cut_off(rows)
        Timeout.timeout(0.2) do
          Poolkeeper[:orders].with do |db|
            db.transaction do
              rows.each { |row| insert(db, [row]) }
              sleep
            end
          end
        end
      end

      def price(orders)
        customers = orders.map { |_, order| order.fetch("customer") }.uniq
        discounts = discounts_of(customers)
        orders.map do |message, order|
          sleep(WORK)
          customer = order.fetch("customer")
          cents = order.fetch("cents") * (100 - discounts.fetch(customer)) / 100
          [message.topic, message.partition, message.offset, customer, cents]
        end
      end

      def discounts_of(customers)
        marks = Array.new(customers.size, "?").join(", ")
        rows = Poolkeeper[:customers].with do |db|
          db.query("SELECT id, discount FROM customers WHERE id IN (#{marks})", *customers)
        end
        rows.to_h { |row| row.values_at(:id, :discount) }
      end

      # The ways in which users write: in one statement, one by one, in a transaction, in one within another.
      def write(rows)
        Poolkeeper[:orders].with do |db|
          case number % 4
          when 0 then insert(db, rows)
          when 1 then rows.each { |row| insert(db, [row]) }
          when 2 then db.transaction { insert(db, rows) }
          else db.transaction { rows.each { |row| db.transaction { insert(db, [row]) } } }
          end
          mark(db, rows)
        end
      end

      def insert(database, rows)
        values = Array.new(rows.size, "(?, ?, ?, ?, ?)").join(", ")
        database.execute("INSERT INTO orders (#{COLUMNS}) VALUES #{values} #{CONFLICT}", *rows.flatten)
      end

      def mark(database, rows)
        database.execute("UPDATE orders SET status = 'priced' WHERE topic = ? AND partition = ? " \
                         "AND \"offset\" BETWEEN ? AND ?", *rows.first.first(3), rows.last[2])
      end
    end
  end
end
