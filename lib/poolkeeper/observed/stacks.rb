# frozen_string_literal: true

module Poolkeeper
  module Observed
    # Keeps the borrower's stack on each connection for as long as it is leased. It comes between ActiveRecord and its
    # connections only where `leak_threshold` was ever set: without it nothing is paid.
    module Stacks
      STACK = :@poolkeeper_stack

      # Where adapters verify lazily (7.1 and later), as {Hooks}: behind them, so that the lease is known by now.
      module Lazy
        def clean!
          super
          @poolkeeper_stack = Stacks.take
        end
      end

      class << self
        # Has stacks kept, or no longer.
        #
        # @param wanted [Boolean]
        def want(wanted)
          @wanted = wanted
          follow if wanted && Observed.observing?
        end

        # To be called once ActiveRecord is observed.
        def follow
          adapter = ::ActiveRecord::ConnectionAdapters::AbstractAdapter
          return if !@wanted || @following

          # Before it whoever is interrupted would have a lease that nobody was told of.
          Driver.lazy? ? Hooks.include(Lazy) : adapter.set_callback(:checkout, :after, self)
          @following = true
        end

        # Up to 7.0: the callback after a checkout.
        def after(adapter)
          adapter.instance_variable_set(STACK, take)
        end

        # @return [Array<Thread::Backtrace::Location>, nil]
        def take
          Stack.take if @wanted
        end

        # @return [Array(Array, Boolean), nil] the stack of whoever has had this connection for so long (nil where none
        #   was kept), and whether he has ended; nil where that lease is over: the mirror may not know
        def overdue(number, owner, seconds)
          adapter = Adapters[number]
          holder = adapter&.owner
          _, _, age = Mirror._lease(number)
          return unless holder && holder.object_id == owner && age && age >= seconds && Adapters.pooled?(adapter)

          [adapter.instance_variable_get(STACK), !holder.alive?]
        end

        # Forgets those of connections whose lease has ended. Not as it ends: whoever is interrupted there, between
        # ActiveRecord's `expire` and its next line, would lose the connection's place in the pool.
        def tidy
          Adapters.all.each do |adapter|
            next unless adapter.instance_variable_get(STACK)

            adapter.instance_variable_set(STACK, nil) unless adapter.in_use? && Adapters.pooled?(adapter)
          end
        end
      end
    end
  end
end
