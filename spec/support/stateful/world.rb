# frozen_string_literal: true

module Support
  module Stateful
    # Four pools (two roles, two shards), the owners that use them, and what is known of both beyond what ActiveRecord
    # says: whose server process was ended, which leases ActiveRecord gave without a word.
    class World
      include Database
      include Using
      include Servers

      SPOTS = %i[writing reading].product(%i[default one]).freeze
      OWNERS = 4
      SIZE = 3
      # Nothing gives a connection back while somebody waits for one, for steps are done one at a time.
      TIMEOUT = 0.02

      # @return [Array<Owner>]
      attr_reader :owners
      # @return [Pins]
      attr_reader :pins
      # @return [Rows]
      attr_reader :written
      # @return [Module] of {Support::Driver}
      attr_reader :driver
      # @return [Hash{Object => true}] leases that ActiveRecord gave without saying so, as it does where an interrupt
      #   cuts its checkout in two
      attr_reader :unannounced
      # @return [Hash{Object => true}] idle connections that such an interrupt has kept from getting into the queue
      attr_reader :lost
      # @return [Hash{Symbol => Integer}] how many connections were given reason to be evicted or dropped (:deaths), and
      #   how many to be discarded (:left_open)
      attr_reader :reasons
      # @return [Child, nil] one that lives on for a while
      attr_accessor :child

      def initialize
        connect(pool: SIZE, checkout_timeout: TIMEOUT, reaping_frequency: 0)
        ActiveRecord::ConnectionAdapters::ConnectionPool.prepend(Reaping)
        remember_configurations
        @wounded, @unannounced, @lost = Array.new(3) { {}.compare_by_identity }
        @reasons = Hash.new(0)
        @pins = Pins.new
        @written = Rows.new(self)
        Poolkeeper.release
        @driver = Driver.of(pool(SPOTS.first).with_connection { |adapter| adapter })
        populate
      end

      # Owners, all of them new.
      def populate
        @owners = Array.new(OWNERS) { |number| Owner.new(number) }
      end

      # Somebody else in the place of an owner that has died.
      def replace(owner)
        owners[owner.number] = Owner.new(owner.number)
      end

      # Its server process was ended, or a statement was cut off, while it was lent.
      def wound(adapter)
        @wounded[adapter] = true
      end

      def wounded?(adapter)
        @wounded.key?(adapter)
      end

      # Whoever gets it now gets it whole.
      def heal(adapter)
        @wounded.delete(adapter)
      end

      # @return [Array<Walk::Connection>] as the pools have them now
      def connections
        Walk.pools(self).flat_map(&:connections)
      end

      # @return [Array<Walk::Connection>] what an owner holds
      def leases(owner)
        connections.select { |connection| connection.owner.equal?(owner.thread) }
      end

      # @return [Array<Walk::Connection>] what an owner holds without anybody having said so
      def unannounced_to(owner)
        leases(owner).select { |lease| unannounced.key?(lease.adapter) }
      end

      # Forgets what is known of connections that are in no pool any more.
      #
      # @param present [Hash{Object => true}]
      def forget(present)
        [@wounded, @unannounced, @lost].each { |known| known.select! { |adapter, _| present.key?(adapter) } }
        owners.each(&:forget_returned)
      end

      # Puts everything away: no child, no owner, no connection, no trace.
      def clear
        pins.clear(self)
        child&.finish
        self.child = nil
        owners.each(&:leave)
        SPOTS.each { |spot| pool(spot).disconnect! }
        forget({})
        Poolkeeper::Observed::Walk.tidy
      end
    end
  end
end
