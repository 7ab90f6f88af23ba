# frozen_string_literal: true

# A whole Karafka application in one file: ActiveRecord with a primary and a replica, no Rails, and poolkeeper.
#
#   gem install karafka activerecord pg poolkeeper
#   export PRIMARY_URL=postgres://app@db1/shop REPLICA_URL=postgres://app@db2/shop KAFKA_SERVERS=127.0.0.1:9092
#   KARAFKA_BOOT_FILE=examples/karafka.rb karafka server
#
# A message of the topic "orders" is JSON: {"customer_id": 7, "cents": 1250}. The tables:
#
#   create table customers (id bigint primary key, name text not null);
#   create table orders (
#     id bigserial primary key, topic text not null, "partition" int not null, "offset" bigint not null,
#     customer_id bigint not null, customer_name text, cents bigint not null, unique (topic, "partition", "offset")
#   );
#
# It takes Karafka 2.5.2 and ActiveRecord 7.0, or later. Before: `config.pause_timeout`, `pause_max_timeout` and
# `pause_with_exponential_backoff`; `self.abstract_class = true`.
#
# Under Rails, config/database.yml and app/models hold the first half of this file, and what is left is karafka.rb.

require "karafka"
require "active_record"
require "poolkeeper"

CONCURRENCY = Integer(ENV.fetch("CONCURRENCY", "5"))

database = {
  adapter: "postgresql",
  # Karafka's listener threads can hold a connection as well as its workers: one for each subscription group.
  pool: CONCURRENCY + 1,
  # Whether a server is gone, poolkeeper learns from its sockets; how long a connect may take, libpq alone decides.
  connect_timeout: 5
}
ActiveRecord::Base.configurations = {
  ActiveRecord::ConnectionHandling::DEFAULT_ENV.call => {
    primary: database.merge(url: ENV.fetch("PRIMARY_URL")),
    # `replica: true` also tells poolkeeper that refused writes are no sign of a failover here.
    replica: database.merge(url: ENV.fetch("REPLICA_URL"), replica: true)
  }
}

class ApplicationRecord < ActiveRecord::Base
  primary_abstract_class
  connects_to database: { writing: :primary, reading: :replica }
end

class Customer < ApplicationRecord
end

class Order < ApplicationRecord
end

class OrdersConsumer < Karafka::BaseConsumer
  # Leases end with the job, in both roles and however the job ends; so there is nothing to give back in here.
  def consume
    names = ApplicationRecord.connected_to(role: :reading) do
      Customer.where(id: messages.payloads.map { |order| order["customer_id"] }).pluck(:id, :name).to_h
    end
    # Karafka delivers a failed batch again, and poolkeeper repeats no statement. The unique key makes both harmless.
    Order.insert_all(messages.map { |message| row(message, names) }, unique_by: %i[topic partition offset])
  end

  private

  def row(message, names)
    customer_id, cents = message.payload.values_at("customer_id", "cents")
    { topic: message.topic, partition: message.partition, offset: message.offset,
      customer_id:, customer_name: names[customer_id], cents: }
  end
end

class KarafkaApp < Karafka::App
  setup do |config|
    config.client_id = "orders"
    config.group_id = "orders"
    config.kafka = { "bootstrap.servers": ENV.fetch("KAFKA_SERVERS") }
    config.concurrency = CONCURRENCY
    config.max_messages = 100

    # When a batch fails, its partition rests for half a second, then for longer, up to ten. After an outage the last
    # pause is what is still waited for, so keep the longest one short.
    config.pause.timeout = 500
    config.pause.max_timeout = 10_000
    config.pause.with_exponential_backoff = true
  end

  routes.draw do
    topic :orders do
      consumer OrdersConsumer
      # No dead letter queue on purpose: an outage of the database would send good messages there once their retries
      # are used up. Where you need one, let its retries last longer than your longest outage.
    end
  end
end

Karafka.monitor.subscribe(Karafka::Instrumentation::LoggerListener.new(log_polling: false))

# The one line. It belongs behind the app class, since `setup` may replace the monitor.
Karafka.monitor.subscribe(Poolkeeper::KarafkaListener.new)

# What it does is logged; events are for counting and for alarms. They come on poolkeeper's own thread.
Poolkeeper.events.subscribe("incident.opened") { |event| Karafka.logger.error("database incident on #{event[:host]}") }
Poolkeeper.events.subscribe("connection.leaked") do |event|
  Karafka.logger.warn("an open transaction was left behind by #{event[:topic]}/#{event[:partition]}")
end
