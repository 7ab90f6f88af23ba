# frozen_string_literal: true

module Poolkeeper
  module Observed
    # A connection is as good as none until ActiveRecord has configured it: time zone, SQL mode and types are those of
    # the session. Whoever is killed in between (Thread#kill runs no `rescue`, and before 7.2.3 there is none) would
    # leave it to the next owner half configured: open, in no transaction, and taken for verified.
    module Reconnect
      def reconnect!(**options)
        Reconnect.to_the_end(self) { super(**options) }
      end

      # As ActiveRecord's reaper does with what dead threads have left, before it gives it back.
      def reset!
        Reconnect.to_the_end(self) { super() }
      end

      class << self
        # To be called with each adapter that is met, before it connects (7.1 and later), or when it has for the first
        # time, which concerns no pool yet. Drivers' adapters have methods of their own, and other names for them, so
        # AbstractAdapter is not the place.
        def follow(adapter)
          adapter.class.prepend(self) unless adapter.is_a?(self)
        end

        def to_the_end(adapter)
          value = yield
          done = true
          value
        ensure
          broken_off(adapter) unless done
        end

        # The connection is its owner's, and he is on his way out.
        def broken_off(adapter)
          Thread.handle_interrupt(Object => :never) do
            pool = Pools.number(adapter.pool)
            next if pool.nil? || Driver.raw(adapter).nil? || Driver.in_process?(adapter)
            # It may be at work for another thread, which a Timeout that waits for its turn must not disturb.
            next if Transactions.fixture?(adapter, adapter.pool)

            acting = Poolkeeper.config.act?
            open = Driver.open?(adapter)
            # One that is closed, too: ActiveRecord would fail on it.
            Driver.drop(adapter) if acting
            next unless open

            Mirror._count(pool, "dropped", !acting)
            Events.tell("connection.dropped", pool: pool, owner: Owner.current,
                                              reason: "it was not configured to the end")
          rescue StandardError => e
            Log.rescued("dropping a connection that is not configured", e)
          end
        end
      end
    end
  end
end
