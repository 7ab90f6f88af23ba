# frozen_string_literal: true

module Poolkeeper
  module Observed
    # What ActiveRecord's adapters call on their way out of and into their pool: through its public callbacks up to 7.0,
    # from {Hooks} later.
    #
    # Checkin runs under the pool's lock, and both run on the application's thread: nothing here waits, and nothing
    # raises.
    module Callbacks
      # What {Mirror._checkout} answers.
      CONDEMNED = 1
      PEEK = 2
      UNKNOWN = 3

      class << self
        # Before ActiveRecord looks at a connection it lends: the lease begins. A connection that is condemned, or whose
        # transaction nobody owns, is shut down here, and the adapter connects anew; later it would be too late on 6.1
        # and 7.0.
        #
        # Only what is masked may rescue what is not its own: a Timeout that arrives meanwhile has to get through.
        def before(adapter)
          number = adapter.instance_variable_get(Adapters::NUMBER)
          look = number ? Mirror._checkout(number, adapter.owner.object_id, Owner.fiber) : UNKNOWN
          doubt(adapter, number, look) unless fine?(adapter, look)
          seen = true
        rescue InternalError => e
          seen = unanswered(adapter, number, e)
        ensure
          # Interrupted: ActiveRecord may leave the connection to its owner, whose release has to find it.
          doubt(adapter, Adapters.number(adapter), nil) unless seen
        end

        # After a connection went back: the lease ends, and its socket enters the watch if it is a new one.
        def after(adapter)
          number = adapter.instance_variable_get(Adapters::NUMBER)
          if number
            left_open(adapter) if Driver.left_open?(adapter, Driver.raw(adapter))
            Mirror._checkin(number, Driver.descriptor(adapter))
          end
          seen = true
        rescue InternalError => e
          seen = true
          Log.rescued("looking at a connection at checkin", e)
        ensure
          queue(adapter) unless seen
        end

        # A connection comes back, by whatever way, with a transaction open (or a query under way) that ActiveRecord
        # does not know of: an interrupt hid it, or it was begun by hand. Nobody will end it, and what it has locked
        # would be locked until the next owner came. Not where ActiveRecord knows of it, as in a fixture.
        def left_open(adapter)
          masked("looking at a transaction at checkin") do
            next if adapter.open_transactions.positive? || Transactions.fixture?(adapter, adapter.pool)

            acting = Poolkeeper.config.act?
            Mirror._count(Pools.number(adapter.pool), "discarded", !acting)
            Events.tell("connection.discarded", pool: Pools.number(adapter.pool), owner: Owner.current,
                                                reason: "given back with a transaction that ActiveRecord does not know")
            Driver.drop(adapter) if acting
          end
        end

        # Something speaks against a connection, or it has never been seen: looked at with more care, before it is lent.
        #
        # @param look [Integer, nil] what {Mirror._checkout} has answered; without an answer it is asked (again)
        def doubt(adapter, number, look)
          masked("looking at a connection at checkout") do
            freshen(adapter, number, look)
          rescue InternalError => e
            unanswered(adapter, Adapters.number(adapter), e)
          end
        end

        # The core has failed. Asked once more, for a lease that it does not know of is not released.
        def unanswered(adapter, number, error)
          Log.rescued("looking at a connection at checkout", error)
          masked("looking at a connection at checkout again") { freshen(adapter, number, nil) }
          true
        end

        # The driver has closed the connection, and ActiveRecord would fail on it; without one it connects anew.
        def closed(adapter)
          masked("letting go of a closed connection") { Driver.drop(adapter) if Poolkeeper.config.act? }
          true
        end

        # An interrupt has ended a checkin in our part of it. The connection is nobody's by then and in no queue, where
        # nobody would ever find it: so the pool's next step is taken here.
        def queue(adapter)
          masked("looking at a connection at checkin") do
            # ... unless the connection has left its pool in the meantime, where ActiveRecord raises.
            next if adapter.in_use? || adapter.pool.connections.none? { |other| other.equal?(adapter) }

            available = adapter.pool.instance_variable_get(:@available)
            available&.delete(adapter)
            available&.add(adapter)
          end
        end

        private

        def masked(doing)
          Thread.handle_interrupt(Object => :never) do
            yield
          rescue StandardError => e
            Log.rescued(doing, e)
          end
        end

        def fine?(adapter, look)
          return false unless look.zero? && adapter.open_transactions.zero?

          state = Driver.state(adapter)
          state.nil? || state == Driver::IDLE
        end

        def freshen(adapter, number, look)
          look ||= number ? Mirror._checkout(number, adapter.owner.object_id, Owner.fiber) : UNKNOWN
          return enlist(adapter) if look == UNKNOWN

          pool = adapter.pool
          return if Transactions.fixture?(adapter, pool)

          reason, counter = reason_to_drop(adapter, number, look)
          return unless reason

          acting = Poolkeeper.config.act?
          Mirror._count(Pools.number(pool), counter, !acting)
          Events.tell("connection.#{counter}", pool: Pools.number(pool), owner: Owner.current, reason: reason)
          Driver.drop(adapter) if acting
        end

        def enlist(adapter)
          number = Adapters.enlist_anew(adapter)
          Mirror._checkout(number, adapter.owner.object_id, Owner.fiber)
        end

        def reason_to_drop(adapter, number, look)
          return ["a transaction that nobody owned came with it", "discarded"] if Transactions.open?(adapter)
          return [Mirror._condemned(number), "dropped"] if look == CONDEMNED
          return ["the driver has lost it", "dropped"] if Driver.state(adapter) == Driver::LOST

          descriptor = Driver.descriptor(adapter)
          hung_up = look == PEEK && descriptor >= 0 && Sockets._hung_up(descriptor)
          ["the server hung up", "dropped"] if hung_up
        end
      end
    end
  end
end
