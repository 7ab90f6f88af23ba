# frozen_string_literal: true

module Bench
  # Native pools, as the rows use them.
  module Native
    module_function

    # @param url [String]
    # @param size [Integer]
    # @return [Poolkeeper::Pool]
    def open(url, size, **options)
      require "poolkeeper"
      # Its lines are written, as they would be, but not into the table.
      Poolkeeper.configure { |settings| settings.logger = Logger.new(File.open(File::NULL, "w")) }
      Poolkeeper::Pool.new(url, size: size, name: "bench", **options)
    end

    # Takes so many connections at once, each on a thread of its own; uses each when all are taken, and gives all back.
    #
    # @yieldparam db [Poolkeeper::Connection]
    # @return [Array] the block's values, or errors
    def each(pool, count)
      taken = Queue.new
      gate = Queue.new
      threads = Array.new(count) do
        Thread.new do
          pool.with do |db|
            taken << true
            gate.pop
            yield db
          end
        rescue StandardError => e
          taken << false
          e
        end
      end
      count.times { taken.pop }
      gate.close
      threads.map(&:value)
    end
  end
end
