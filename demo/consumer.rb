# frozen_string_literal: true

# The consumer process: `ruby consumer.rb release|bare|handler databases.json orders.jsonl`. It tells what happens on
# descriptor 3, and ends when its standard input does, which is also what it sees of a demo that was killed.
require "json"
require_relative "consuming"
require_relative "orders_consumer"
require_relative "reporter"
require_relative "trail"

module Demo
  # What a `karafka.rb` would set up, and the stand-in for Karafka that runs it.
  class Consumer < Consuming
    # @param mode [String] who releases: `poolkeeper`, nobody (`bare`), or the handler (`handler`)
    # @param databases [Hash{Symbol => Hash}]
    # @param orders [String] path
    # @param reporter [Reporter]
    def initialize(mode, databases, orders, reporter)
      super(orders, reporter)
      @mode = mode
      @databases = databases.except(:audit)
      @audit = databases.fetch(:audit)
    end

    private

    def set_up
      Record.connect(@databases)
      speak_to(@databases.fetch(:primary).fetch(:adapter))
      @pools = Record.pools
      subscribe
      OrdersConsumer
    end

    def speak_to(adapter)
      name = adapter == "mysql2" ? "mariadb" : adapter
      require_relative "#{name}/writes"
      OrdersConsumer.include(Demo.const_get(name.capitalize)::Writes)
    end

    def poolkeeper?
      @mode == "poolkeeper"
    end

    def subscribe
      case @mode
      when "poolkeeper"
        use_poolkeeper
        keep_a_trail
      when "handler"
        monitor.subscribe("worker.completed") { ActiveRecord::Base.connection_handler.clear_active_connections! }
      end
    end

    def keep_a_trail
      Poolkeeper.configure do |config|
        config.pool :audit, @audit.fetch(:url), size: Trail::SIZE, application_name: Trail::APPLICATION
      end
      Trail.reporter = @reporter
      OrdersConsumer.prepend(Trail)
    end

    def versions
      { activerecord: ActiveRecord.version.to_s }
    end

    def leases
      { leases: @pools.transform_values { |pool| pool.stat.values_at(:busy, :size) },
        native_leases: poolkeeper? ? Poolkeeper[:audit].stats[:leased] : 0 }
    end
  end
end

if $PROGRAM_NAME == __FILE__
  mode, databases, orders = ARGV
  reporter = Demo::Reporter.new(IO.for_fd(3, "w"))
  Demo::Consumer.new(mode, JSON.parse(File.read(databases), symbolize_names: true), orders, reporter).run($stdin)
end
