# frozen_string_literal: true

module Demo
  module Embedded
    # The tables, made anew for each run: one statement each.
    SCHEMA = [<<~CUSTOMERS, <<~DISCOUNTS, <<~ORDERS, <<~AUDITS, <<~AUDIT].freeze
      CREATE TABLE customers (id integer PRIMARY KEY, discount integer NOT NULL)
    CUSTOMERS
      INSERT INTO customers
      WITH RECURSIVE numbers (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM numbers WHERE id < 100)
      SELECT id, id % 30 FROM numbers
    DISCOUNTS
      CREATE TABLE orders (
        id integer PRIMARY KEY,
        topic text NOT NULL,
        partition integer NOT NULL,
        "offset" integer NOT NULL,
        customer_id integer NOT NULL,
        cents integer NOT NULL,
        status text NOT NULL DEFAULT 'new',
        deliveries integer NOT NULL DEFAULT 1,
        UNIQUE (topic, partition, "offset")
      )
    ORDERS
      CREATE TABLE audits (id integer PRIMARY KEY, note text NOT NULL)
    AUDITS
      CREATE TABLE audit (
        id integer PRIMARY KEY,
        topic text NOT NULL,
        partition integer NOT NULL,
        first_offset integer NOT NULL,
        last_offset integer NOT NULL,
        orders integer NOT NULL,
        at datetime NOT NULL
      )
    AUDIT
  end
end
