# frozen_string_literal: true

module Poolkeeper
  module Observed
    # Up to ActiveRecord 7.0 an error does not say which pool it happened in. What its owner holds says nothing where a
    # connect failed, for a connection of that pool is just what he could not get; but he asked the pool for it, and
    # there the error learns where it comes from.
    module Refusal
      POOL = :@poolkeeper_pool

      class << self
        # To be asked once ActiveRecord is there.
        def follow(pool)
          pool.prepend(self) unless ::ActiveRecord::ConnectionNotEstablished.method_defined?(:connection_pool)
        end

        # @return [ActiveRecord::ConnectionAdapters::ConnectionPool, nil] the pool whose checkout raised an error
        def pool_of(error)
          error.instance_variable_get(POOL)
        end

        # The innermost pool has the first word.
        def note(error, pool)
          error.instance_variable_set(POOL, pool) unless error.frozen? || error.instance_variable_defined?(POOL)
        end
      end

      def checkout(*)
        super
      rescue StandardError => e
        Refusal.note(e, self)
        raise
      end
    end
  end
end
