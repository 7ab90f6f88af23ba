# frozen_string_literal: true

# The consumer process: `ruby consumer.rb release|bare|handler databases.json orders.jsonl`. It tells what happens on
# descriptor 3, and ends when its standard input does, which is also what it sees of a demo that was killed.
require "json"
require_relative "../spec/support/karafka_monitor"
require_relative "orders"
require_relative "orders_consumer"
require_relative "reporter"

module Demo
  # What a `karafka.rb` would set up, and the stand-in for Karafka that runs it.
  class Consumer
    # Seconds between two looks at the pools.
    LOOK = 0.1
    # Seconds for the jobs under way, when it ends.
    PATIENCE = 5

    # @param mode [String] who releases: `poolkeeper`, nobody (`bare`), or the handler (`handler`)
    # @param databases [Hash{Symbol => Hash}]
    # @param orders [String] path
    # @param reporter [Reporter]
    def initialize(mode, databases, orders, reporter)
      @mode = mode
      @databases = databases
      @reporter = reporter
      @partitions = Orders.read(orders).each_with_index.map do |payloads, number|
        Support::KarafkaPartition.new(Orders::TOPIC, number, payloads)
      end
    end

    # @param input [IO] runs until this ends
    # @return [void]
    def run(input)
      Record.connect(@databases)
      speak_to(@databases.fetch(:primary).fetch(:adapter))
      server = Support::KarafkaServer.new(monitor, OrdersConsumer, @partitions, concurrency: 5, batch: 10, pause: 0.5)
      tell_versions
      server.start
      look_on(server)
      input.read
      server.stop(PATIENCE)
      @reporter.tell("account", **Account.of(Poolkeeper.stats)) if poolkeeper?
    end

    private

    def speak_to(adapter)
      name = adapter == "mysql2" ? "mariadb" : adapter
      require_relative "#{name}/writes"
      OrdersConsumer.include(Demo.const_get(name.capitalize)::Writes)
    end

    def poolkeeper?
      @mode == "poolkeeper"
    end

    def monitor
      monitor = Support::KarafkaMonitor.new
      monitor.subscribe(@reporter)
      case @mode
      when "poolkeeper"
        # The installed one, or none.
        gem("poolkeeper")
        require "poolkeeper"
        configure_poolkeeper
        monitor.subscribe(Poolkeeper::KarafkaListener.new)
      when "handler"
        monitor.subscribe("worker.completed") { ActiveRecord::Base.connection_handler.clear_active_connections! }
      end
      monitor
    end

    # For the live line only; in karafka.rb the one line above is all there is.
    def configure_poolkeeper
      require "logger"
      Poolkeeper.configure { |config| config.logger = Logger.new($stderr) }
      %w[opened closed].each do |change|
        Poolkeeper.events.subscribe("incident.#{change}") { @reporter.tell("incident", change:) }
      end
    end

    def tell_versions
      gem = Gem.loaded_specs["poolkeeper"]
      @reporter.tell("versions", activerecord: ActiveRecord.version.to_s, ruby: RUBY_VERSION,
                                 poolkeeper: gem && { version: gem.version.to_s, path: gem.full_gem_path })
    end

    # Looking at a pool takes no connection from it.
    def look_on(server)
      pools = Record.pools
      Thread.new do
        loop do
          leases = pools.transform_values { |pool| pool.stat.values_at(:busy, :size) }
          @reporter.tell("status", leases:, consumed: @partitions.sum(&:seek_offset), done: server.consumed?,
                                   redelivered: @partitions.sum(&:redelivered))
          sleep(LOOK)
        end
      end
    end
  end

  # What poolkeeper says it did, added up over its pools.
  module Account
    COUNTS = %i[released leaked discarded evicted dropped expired kept mirror_misses].freeze

    def self.of(stats)
      COUNTS.to_h { |name| [name, stats.each_value.sum { |pool| pool[name].to_i }] }
    end
  end
end

if $PROGRAM_NAME == __FILE__
  mode, databases, orders = ARGV
  reporter = Demo::Reporter.new(IO.for_fd(3, "w"))
  Demo::Consumer.new(mode, JSON.parse(File.read(databases), symbolize_names: true), orders, reporter).run($stdin)
end
