# frozen_string_literal: true

require_relative "poolkeeper/version"
require_relative "poolkeeper/errors"
require_relative "poolkeeper/native"
require_relative "poolkeeper/fork_hook"
require_relative "poolkeeper/interrupts"
require_relative "poolkeeper/log"
require_relative "poolkeeper/configuration"
require_relative "poolkeeper/owner"
require_relative "poolkeeper/pool_options"
require_relative "poolkeeper/connection"
require_relative "poolkeeper/stack"
require_relative "poolkeeper/pool_stacks"
require_relative "poolkeeper/pool"
require_relative "poolkeeper/pools"
require_relative "poolkeeper/fault"
require_relative "poolkeeper/verification"
require_relative "poolkeeper/events"
require_relative "poolkeeper/leaks"
require_relative "poolkeeper/background"
require_relative "poolkeeper/observed"
require_relative "poolkeeper/handler"
require_relative "poolkeeper/writable"
require_relative "poolkeeper/awaiting"
require_relative "poolkeeper/karafka_listener"

# Keeps the database connections of long-lived worker threads: given back after each piece of work, replaced when they
# are dead, never handed on with a transaction open.
#
# @example In karafka.rb, after the app class
#   Karafka.monitor.subscribe(Poolkeeper::KarafkaListener.new)
#
# @example The two primitives in subscriptions of one's own; neither ever raises
#   Karafka.monitor.subscribe("worker.completed") { Poolkeeper.release }
#   Karafka.monitor.subscribe("error.occurred") { |event| Poolkeeper.verify(event[:error]) }
module Poolkeeper
  @config = Configuration.new
  @events = Events.new

  class << self
    # @return [Configuration] the options in force
    attr_reader :config

    # @return [Events] where to subscribe to what poolkeeper tells
    attr_reader :events

    # Sets options, and begins to observe ActiveRecord.
    #
    # @example
    #   Poolkeeper.configure { |config| config.mode = :report }
    # @yieldparam config [Configuration]
    # @return [Configuration]
    # @raise [ConfigurationError] for an unknown option or a value it cannot take; the message names both
    def configure
      yield @config if block_given?
      Handler.call("observing", false) { Observed.start }
      @config
    end

    # @param name [Symbol, String]
    # @return [Pool] the native pool of that name
    # @raise [ConfigurationError] where there is none
    def [](name)
      Pools.fetch(name)
    end

    # Begins to observe ActiveRecord now, or as soon as it is loaded. `release`, `verify`, `verify!`, `configure` and a
    # listener do so too.
    #
    # @return [Boolean] whether ActiveRecord is observed
    def observe
      Handler.call("observing", Observed.observing?) { Observed.start }
    end

    # Gives back everything that the present thread (or fiber) holds, in every pool: every handler, role and shard.
    #
    # An open transaction that nobody owns any more is discarded, so that the server rolls back, and reported. A
    # transaction block that still runs, a `with_connection` block that still runs, a test fixture, and a raw
    # `pool.checkout` from before this piece of work are left alone. Never raises, never waits for the network, never
    # connects.
    #
    # @return [Integer] connections given back or discarded
    def release
      # With nothing held this is one look-up, whatever the number of pools; a further call would cost a fifth more.
      held = Mirror._held(Owner.current)
      # False as long as nothing is observed, which may be for want of anything to observe.
      nothing = held.nil? || (!held && !defined?(::ActiveRecord))
      nothing ? Pools.release : Handler.release(:discard, held)
    rescue InternalError => e
      Log.rescued("releasing", e)
      0
    end

    # Acts on an error: marks the connections it condemns, counts it, and drops those that the present owner holds and
    # does not use. Sends nothing, and touches no connection of anybody else. Never raises.
    #
    # @param error [Exception, nil] without one, only drops what is condemned already
    # @return [Verification, nil] nil where the error is no fault of a connection
    def verify(error = nil)
      Handler.verify(error)
    end

    # Evicts what is dead, then proves that each pool gives a connection that answers. For ordinary code, not for
    # handlers: it waits.
    #
    # @param pools [Array<Pool, ActiveRecord::ConnectionAdapters::ConnectionPool, Class>] native pools, ActiveRecord's
    #   pools or models; all by default
    # @param timeout [Numeric] seconds for all of it
    # @return [Verification]
    # @raise [ConnectionError] where a pool gives no connection that answers in time
    # @raise [ArgumentError] for something that is no pool
    def verify!(*pools, timeout: 5)
      Handler.prove(pools, timeout)
    end

    # Runs a piece of work and releases on the way out, however it ends: for threads of one's own, rake, Sidekiq, and as
    # Karafka's job wrapper where there is no Rails.
    #
    # @yield the work
    # @return [Object] the block's value
    def wrap
      Handler.begin_work
      yield
    ensure
      begin
        released = release
      ensure
        # An interrupt that came before the release had set its mask.
        release unless released
      end
    end

    # Whether no incident is open on a host that a pool of writers uses. Does no I/O: for a readiness probe. The last
    # fault counts for 30 seconds, so that a process which is sent no work because of it gets to find out.
    #
    # @return [Boolean]
    def healthy?
      Handler.call("looking at incidents", true) { Incidents._healthy? }
    end

    # Waits until no incident is open on a host that a pool of a role uses; true at once where none is. It finds out by
    # itself: one caller at a time takes a connection from such a pool, as any job would, has it answer and gives it
    # back; after a failure the next attempt is made 50 ms later at first, a second later at last. For `:writing` the
    # server has to take writes too, so that a demoted primary is not up.
    #
    # @example In a consumer, instead of failing one batch after the other
    #   Poolkeeper.wait_until_up(timeout: 5, role: :writing) or return pause(coordinator.seek_offset, 30_000)
    # @param timeout [Numeric] seconds
    # @param role [Symbol, String, nil] `:writing`, `:reading`, or another that ActiveRecord's pools have; nil for all
    #   pools. Pools that are replicas by their configuration are no writers; native pools are, and have no other role
    # @return [Boolean] false at the timeout
    # @raise [ArgumentError] for a timeout that is no number of seconds, or a role that no pool has; and nothing else
    # @note What a driver does while it connects may not be interruptible: mysql2 goes on in the background until its
    #   `connect_timeout`, after this has returned.
    def wait_until_up(timeout:, role: nil)
      Awaiting.call(timeout, role)
    end

    # What the pools hold and what was done to them, by pool.
    #
    # @return [Hash{String => Hash}] size, idle, leased, waiting, condemned, leases (owner and seconds), and counts of
    #   released, discarded, evicted, dropped, severed, expired, leaked, kept, mirror_misses; `would` holds the counts
    #   of mode `:report`
    def stats
      Handler.call("counting", {}) { Handler.stats }
    end

    # Closes the native pools for good, and waits for what is leased.
    #
    # @param timeout [Numeric] seconds for all of them
    # @return [true]
    # @raise [TimeoutError] where something is still leased then, or being closed
    def close(timeout: 10)
      Pools.close(timeout)
    end
  end
end
