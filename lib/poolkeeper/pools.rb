# frozen_string_literal: true

module Poolkeeper
  # The native pools of this process.
  #
  # @api private
  module Pools
    @named = {}
    # Weakly: whoever makes a pool by himself may let it go.
    @all = ObjectSpace::WeakMap.new
    @mutex = Mutex.new

    class << self
      # @return [Integer] a number that no pool has, native or observed: of an object made for it
      def number
        Object.new.object_id
      end

      def add(pool)
        @mutex.synchronize { @all[pool] = pool.name }
      end

      # @return [Array<Pool>]
      def all
        @all.keys
      end

      # Makes a pool that {Poolkeeper.[]} knows.
      def define(name, url, **options)
        @mutex.synchronize do
          raise ConfigurationError, "there is a pool :#{name} already; close it first" if @named.key?(name.to_sym)
        end
        pool = Pool.new(url, name: name, **options)
        @mutex.synchronize { @named[name.to_sym] = pool }
      end

      # @raise [ConfigurationError] for a name that no pool has
      def fetch(name)
        @named.fetch(name.to_sym) do
          known = @named.empty? ? "there are none" : "the pools are #{@named.keys.map(&:inspect).join(", ")}"
          raise ConfigurationError, "there is no pool #{name.inspect}; #{known}; config.pool in Poolkeeper.configure makes one"
        end
      end

      # Forgets the named ones.
      def clear
        @mutex.synchronize { @named.clear }
      end

      # @return [Integer] connections given back for the present owner
      def release
        owner = Owner.native
        all.count { |pool| pool._release(owner) }
      end
    end
  end
end
