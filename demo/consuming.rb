# frozen_string_literal: true

require_relative "../spec/support/karafka_monitor"
require_relative "../spec/support/karafka_worker"
require_relative "orders"

module Demo
  # A consumer process from its start to the end of its input. What it runs on, a subclass knows: {#set_up} answers the
  # consumer class, {#leases} and {#versions} what is told of the pools and of what is loaded.
  class Consuming
    # Seconds between two looks at the pools.
    LOOK = 0.1
    # Seconds for the jobs under way, when it ends.
    PATIENCE = 5

    # @param orders [String] path
    # @param reporter [Reporter]
    def initialize(orders, reporter)
      @reporter = reporter
      @partitions = Orders.read(orders).each_with_index.map do |payloads, number|
        Support::KarafkaPartition.new(Orders::TOPIC, number, payloads)
      end
    end

    # @param input [IO] runs until this ends
    # @return [void]
    def run(input)
      monitor.subscribe(@reporter)
      consumer = set_up
      server = Support::KarafkaServer.new(monitor, consumer, @partitions, concurrency: 5, batch: 10, pause: 0.5)
      tell_versions
      server.start
      looking = look_on(server)
      input.read
      server.stop(PATIENCE)
      @over = true
      looking.join
      leave if poolkeeper?
    end

    private

    def monitor
      @monitor ||= Support::KarafkaMonitor.new
    end

    # The installed one, or none.
    def use_poolkeeper
      gem("poolkeeper")
      require "poolkeeper"
      tell_incidents
      monitor.subscribe(Poolkeeper::KarafkaListener.new)
    end

    # For the live line only; in karafka.rb the one line above is all there is.
    def tell_incidents
      require "logger"
      Poolkeeper.configure { |config| config.logger = Logger.new($stderr) }
      %w[opened closed].each do |change|
        Poolkeeper.events.subscribe("incident.#{change}") { @reporter.tell("incident", change:) }
      end
    end

    def leave
      @reporter.tell("account", **Account.of(Poolkeeper.stats))
      Poolkeeper.close(timeout: PATIENCE)
    end

    def tell_versions
      gem = Gem.loaded_specs["poolkeeper"]
      @reporter.tell("versions", **versions, ruby: RUBY_VERSION,
                                             poolkeeper: gem && { version: gem.version.to_s, path: gem.full_gem_path })
    end

    # Looking at a pool takes no connection from it.
    def look_on(server)
      Thread.new do
        until @over
          @reporter.tell("status", **leases, consumed: @partitions.sum(&:seek_offset), done: server.consumed?,
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
