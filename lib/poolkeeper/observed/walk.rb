# frozen_string_literal: true

module Poolkeeper
  module Observed
    # A walk through every pool and connection: the mirror is compared with what ActiveRecord says.
    module Walk
      class << self
        # Takes over what is there when observing begins: leases that are out, sockets of idle connections.
        def seed
          each_connection do |adapter, number|
            if adapter.in_use?
              Mirror._seed(number, adapter.owner.object_id)
            else
              Mirror._settle(number, Driver.descriptor(adapter))
            end
          end
        end

        # The same where the mirror has been lost, and the connections have not.
        def take_over
          Adapters.strike_off
          seed
        end

        # Finds leases of an owner that the mirror missed, and forgets what is gone.
        def check(context)
          tidy do |adapter, number|
            mine = context.equal?(adapter.owner)
            missed(adapter, number) if mine && Mirror._missed(number, context.object_id)
          end
        end

        # Forgets leases that have ended, and connections and pools that have gone, without a word; looks at idle
        # connections as if they had just come back, for an interrupt in a checkin leaves one that has not been seen.
        def tidy
          newest = Mirror._newest
          known = Pools.numbers
          connections = []
          pools = each_connection do |adapter, number|
            connections << number
            owner = adapter.owner
            owner ? Mirror._found_with(number, owner.object_id) : Mirror._checkin(number, Driver.descriptor(adapter))
            yield adapter, number if block_given?
          end
          Mirror._retain(newest, connections)
          # A pool that came while we walked is not among those we have met.
          Pools.forget(known - pools.map { |pool| Pools.number(pool) })
          Stacks.tidy
        end

        private

        # Under each pool's lock, so that an idle connection's descriptor stays its own while it is looked at.
        def each_connection
          pools = (Pools.all | Adapters.pools).reject(&:discarded?)
          # Before any lock is taken: to find a name for a pool the others are looked at.
          pools.map { |pool| Pools.register(pool) }
          pools.each do |pool|
            pool.synchronize do
              pool.connections.each { |adapter| yield adapter, Adapters.enlist(adapter) } unless pool.discarded?
            end
          end
        end

        def missed(adapter, number)
          Mirror._count(Pools.number(adapter.pool), "mirror_misses", false)
          Log.rescued("mirroring leases", InternalError.new("connection #{number} was lent without a word"))
        end
      end
    end
  end
end
