# frozen_string_literal: true

module Poolkeeper
  # On whose behalf a connection is used: a thread, or a fiber where ActiveRecord's isolation level says so.
  module Owner
    # Where ActiveRecord has an isolation level. Written out, and with a constant where a variable would do: releasing
    # nothing is mostly this.
    module Isolated
      # @see Owner.current
      def current
        ::ActiveSupport::IsolatedExecutionState.scope.current.object_id
      end

      # @see Owner.context
      def context
        ::ActiveSupport::IsolatedExecutionState.scope.current
      end
    end

    class << self
      # @return [Integer] the number of the present owner; never used for another one
      def current
        Thread.current.object_id
      end

      # @return [Thread, Fiber] what ActiveRecord names as the owner of a connection that is taken here
      def context
        Thread.current
      end

      # @return [Integer] the number of the present fiber, kept in a fiber-local: asking costs half as much
      def fiber
        Thread.current[:poolkeeper_fiber] ||= Fiber.current.object_id
      end

      # To be asked once ActiveRecord is there: from 7.1 on its isolation level decides, before that owners are threads.
      def follow(abstract_adapter)
        singleton_class.prepend(Isolated) if abstract_adapter.method_defined?(:clean!)
      end
    end
  end
end
