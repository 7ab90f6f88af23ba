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

    # Told where the isolation level is set after we have looked.
    module Level
      # @api private
      def isolation_level=(level)
        super.tap { Pool._fibers_own(scope.equal?(Fiber)) }
      end
    end

    # The fibers that have owned connections of native pools, by their numbers.
    FIBERS = ObjectSpace::WeakMap.new
    # ... and their threads: a fiber whose thread has ended runs no more, and still calls itself alive.
    THREADS = ObjectSpace::WeakMap.new
    private_constant :FIBERS, :THREADS

    class << self
      # @return [Integer] the number of the present owner; never used for another one
      def current
        Thread.current.object_id
      end

      # @return [Integer] the owner of a native pool's connection: the present fiber where a fiber scheduler runs it,
      #   else as with ActiveRecord
      def native
        number, fiber = Pool._present
        return number unless fiber

        FIBERS[number] = Fiber.current
        THREADS[number] = Thread.current
        number
      end

      # @param owners [Array<Integer>] of native pools, asked for before
      # @return [Array<Integer>] those that have ended, so that they can give nothing back
      def gone(owners)
        # One that took a connection before was there before, and is among these if it still lives.
        alive = owners.select { |owner| FIBERS[owner]&.alive? && THREADS[owner]&.alive? }
        owners - Thread.list.map(&:object_id) - alive
      end

      # @param leases [Array<Array(Integer, Float)>] owners, and for how many seconds each has had its connection
      # @return [String] who has what, for a message
      def describe(leases)
        return "" if leases.empty?

        names = Thread.list.to_h { |thread| [thread.object_id, thread.name || thread.inspect] }
        held = leases.sort_by { |_, seconds| -seconds }.first(10).map do |owner, seconds|
          "#{names.fetch(owner) { "owner #{owner}" }} for #{seconds.round(1)} s"
        end
        "; held by #{held.join(", ")}"
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
        return unless abstract_adapter.method_defined?(:clean!)

        singleton_class.prepend(Isolated)
        ::ActiveSupport::IsolatedExecutionState.singleton_class.prepend(Level)
        Pool._fibers_own(::ActiveSupport::IsolatedExecutionState.scope.equal?(Fiber))
      end
    end
  end
end
