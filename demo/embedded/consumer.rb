# frozen_string_literal: true

# The consumer process without a server: `ruby consumer.rb orders.db orders.jsonl`. It tells what happens on
# descriptor 3, and ends when its standard input does.
require_relative "../consuming"
require_relative "../reporter"
require_relative "drivers"
require_relative "orders_consumer"
require_relative "pools"
require_relative "schema"

module Demo
  module Embedded
    # What a `karafka.rb` would set up where SQLite is all there is.
    class Consumer < Consuming
      # @param file [String] the database's
      # @param orders [String] path
      # @param reporter [Reporter]
      def initialize(file, orders, reporter)
        super(orders, reporter)
        @file = file
      end

      private

      def poolkeeper?
        true
      end

      def set_up
        use_poolkeeper
        file = @file
        Poolkeeper.configure do |config|
          POOLS.each { |name, (size, mode)| config.pool name, Embedded.url(file, mode), size: size }
        end
        Poolkeeper[:orders].with { |db| SCHEMA.each { |sql| db.execute(sql) } }
        Trail.reporter = @reporter
        OrdersConsumer
      end

      def versions
        { sqlite: Poolkeeper[:orders].with { |db| db.query("SELECT sqlite_version() AS version").first[:version] } }
      end

      def leases
        { leases: POOLS.keys.to_h { |name| [name, Poolkeeper[name].stats.values_at(:leased, :size)] } }
      end

      # When all has been used that there is.
      def leave
        @reporter.tell("drivers", loaded: Drivers.loaded)
        super
      end
    end
  end
end

if $PROGRAM_NAME == __FILE__
  file, orders = ARGV
  Demo::Embedded::Consumer.new(file, orders, Demo::Reporter.new(IO.for_fd(3, "w"))).run($stdin)
end
