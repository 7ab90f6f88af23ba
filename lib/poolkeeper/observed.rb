# frozen_string_literal: true

module Poolkeeper
  # ActiveRecord's pools: leases mirrored, sockets watched, dead connections replaced. ActiveRecord owns the pools; what
  # is known of them here is a cache, compared with the pool before anybody acts on it.
  module Observed
    class << self
      # Begins to observe ActiveRecord, as soon as it is there. Harmless when called again.
      #
      # @return [Boolean] whether ActiveRecord is observed
      def start
        # In a child forked in C the pools are others from here on.
        Core._look
        return true if @observing
        return false unless Poolkeeper.config.active_record && defined?(::ActiveRecord)

        # Asking for Base would load it before the application has configured it.
        return wait_for_base if ::ActiveRecord.autoload?(:Base)

        install if defined?(::ActiveRecord::Base)
        @observing ? true : false
      end

      # @return [Boolean]
      def observing?
        @observing ? true : false
      end

      private

      def wait_for_base
        return false if @waiting || !defined?(::ActiveSupport) || !::ActiveSupport.respond_to?(:on_load)

        @waiting = true
        ::ActiveSupport.on_load(:active_record) { Observed.start }
        false
      end

      def install
        adapter = ::ActiveRecord::ConnectionAdapters::AbstractAdapter
        Driver.follow(adapter)
        Owner.follow(adapter)
        Refusal.follow(::ActiveRecord::ConnectionAdapters::ConnectionPool)
        Reaper.follow(::ActiveRecord::ConnectionAdapters::ConnectionPool)
        adapter.prepend(Farewell)
        learn_leases(adapter)
        Stacks.follow
        ForkHook.follow
        Background.ensure_running
        # Where this fails, as in a handler of signals that may take no lock, the next call begins again.
        Walk.seed
        Mirror._observe
        @observing = true
      end

      # Done again it changes nothing.
      def learn_leases(adapter)
        return adapter.prepend(Hooks) if Driver.lazy?

        call_back(adapter, :checkout, :before, prepend: true)
        call_back(adapter, :checkin, :after)
      end

      # ActiveSupport would call an object as often as it was given.
      def call_back(adapter, event, time, **options)
        return if adapter.__callbacks[event].any? { |callback| callback.filter.equal?(Callbacks) }

        adapter.set_callback(event, time, Callbacks, **options)
      end
    end
  end
end

require_relative "observed/adapters"
require_relative "observed/begun"
require_relative "observed/callbacks"
require_relative "observed/credentials"
require_relative "observed/driver"
require_relative "observed/eviction"
require_relative "observed/farewell"
require_relative "observed/hooks"
require_relative "observed/pools"
require_relative "observed/proof"
require_relative "observed/reaper"
require_relative "observed/reconnect"
require_relative "observed/refusal"
require_relative "observed/release"
require_relative "observed/stacks"
require_relative "observed/transactions"
require_relative "observed/walk"
