# frozen_string_literal: true

module Poolkeeper
  module Observed
    # A connection is as good as none until ActiveRecord has configured it: time zone, SQL mode and types are those of
    # the session. Whoever is killed in between (Thread#kill runs no `rescue`, and before 7.2.3 there is none) would
    # leave it to the next owner half configured: open, in no transaction, and taken for verified.
    module Reconnect
      def reconnect!(**options)
        value = super
        done = true
        value
      ensure
        Reconnect.broken_off(self) unless done
      end

      class << self
        # To be called with each adapter that is met. Up to 7.0 each driver's adapter has a `reconnect!` of its own, and
        # connects for the first time before it is in a pool.
        def follow(adapter)
          type = Driver.lazy? ? ::ActiveRecord::ConnectionAdapters::AbstractAdapter : adapter.class
          type.prepend(self) unless adapter.is_a?(self)
        end

        # The connection is its owner's, and he is on his way out. Where ActiveRecord has closed it by itself, or never
        # had it, there is nothing to do.
        def broken_off(adapter)
          Thread.handle_interrupt(Object => :never) do
            next if Driver.in_process?(adapter) || !Driver.open?(adapter)

            acting = Poolkeeper.config.act?
            Mirror._count(Pools.number(adapter.pool), "dropped", !acting)
            Events.tell("connection.dropped", pool: Pools.number(adapter.pool), owner: Owner.current,
                                              reason: "interrupted before it was configured")
            Driver.drop(adapter) if acting
          rescue StandardError => e
            Log.rescued("dropping a connection that is not configured", e)
          end
        end
      end
    end
  end
end
