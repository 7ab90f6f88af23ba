# frozen_string_literal: true

# Switches single mechanisms off, to see the specs that prove them fail. Loaded by spec_helper where POOLKEEPER_OFF
# names some; nothing like it is in the gem.
module Switches
  class << self
    def off(names)
      names.each { |name| send(name) }
    end

    private

    def release
      replace(Poolkeeper::Handler, :release) { |*| 0 }
    end

    def discard
      replace(Poolkeeper::Observed::Release, :leak, of: :instance) { |adapter, pool, _| check_in(adapter, pool) && 1 }
    end

    def rule_fixture
      replace(Poolkeeper::Observed::Transactions, :fixture?) { |*| false }
    end

    def rule_block
      replace(Poolkeeper::Observed::Transactions, :block_alive?) { |_| false }
      rule_lent
    end

    def rule_fiber
      replace(Poolkeeper::Observed::Transactions, :block_alive?) { |_| on_stack?("within_new_transaction") }
      rule_lent
    end

    # From 7.2 on a transaction block borrows its connection, so this rule stands behind the others.
    def rule_lent
      replace(Poolkeeper::Observed::Transactions, :lent?) { |_| false }
    end

    def rule_raw_checkout
      replace(Poolkeeper::Observed::Release, :keep, of: :instance) do |_, pool, *|
        pool.connections.each { |adapter| pool.checkin(adapter) }.size
      end
    end

    def rule_replica
      original = Poolkeeper::Mirror.method(:_pool)
      replace(Poolkeeper::Mirror, :_pool) { |*description, _replica| original.call(*description, false) }
    end

    def check_at_checkout
      replace(Poolkeeper::Observed::Callbacks, :reason_to_drop) { |*| nil }
    end

    def begun
      replace(Poolkeeper::Observed::Driver, :begun?) { |*| false }
    end

    def left_open
      replace(Poolkeeper::Observed::Callbacks, :left_open) { |_| nil }
    end

    def broken_off
      replace(Poolkeeper::Observed::Reconnect, :broken_off) { |_| nil }
    end

    def eviction
      replace(Poolkeeper::Observed::Eviction, :evict) { |_| false }
    end

    def idle_only
      replace(Poolkeeper::Observed::Eviction, :sweep) do |pool|
        pool.connections.each { |adapter| Poolkeeper::Observed::Driver.drop(adapter) }.size
      end
    end

    def hang_ups_only
      original = Poolkeeper::Mirror.method(:_condemned)
      replace(Poolkeeper::Mirror, :_condemned) do |number|
        descriptor = Poolkeeper::Observed::Driver.descriptor(Poolkeeper::Observed::Adapters[number])
        readable = IO.for_fd(descriptor, autoclose: false).wait_readable(0) unless descriptor.negative?
        original.call(number) || (readable && "readable")
      end
    end

    # Descriptor numbers instead of sockets.
    def identity
      numbers = {}
      original = Poolkeeper::Mirror.method(:_checkin)
      replace(Poolkeeper::Mirror, :_checkin) do |number, descriptor|
        next Poolkeeper::Mirror._lease_ended(number) if numbers[number] == descriptor

        numbers[number] = descriptor
        original.call(number, descriptor)
      end
    end

    # What stands for libpq's transaction state with mysql2.
    def mysql_state
      replace(Poolkeeper::Observed::Driver, :state) do |adapter|
        raw = adapter.instance_variable_get(@variable)
        raw.transaction_status if raw.respond_to?(:transaction_status)
      end
      replace(Poolkeeper::Observed::Driver, :lost?) { |adapter| state(adapter) == Poolkeeper::Observed::Driver::LOST }
      replace(Poolkeeper::Observed::Driver, :fine?) { |*| true }
    end

    # What Rust does for native pools, in the library with switches.
    %w[rollback look mark cancel stranger order parting eviction down deadline sever answers overdue
       role reading].each do |name|
      define_method(:"native_#{name}") { Poolkeeper::Trip._off(name) }
    end

    # Asks about every lease.
    def patience
      original = Poolkeeper::Monitors.method(:_want)
      replace(Poolkeeper::Monitors, :_want) { |after, *others| original.call(after && 0.000001, *others) }
    end

    def leak_reports
      replace(Poolkeeper::Leaks, :report) { |*| nil }
    end

    def lease_check
      replace(Poolkeeper::Observed::Stacks, :overdue) { |*| [nil, false] }
    end

    def writable
      replace(Poolkeeper::Writable, :statement) { |_| Poolkeeper::Writable::OTHER }
    end

    def attempts
      replace(Poolkeeper::Awaiting, :try, of: :instance) { |*| nil }
    end

    def one_at_a_time
      replace(Poolkeeper::Awaiting::Attempts, :attempt, of: :instance) { |&attempt| attempt.call }
    end

    def forgotten_stacks
      replace(Poolkeeper::Observed::Stacks, :tidy) { nil }
    end

    def native_forgotten_stacks
      replace(Poolkeeper::PoolStacks, :without_stack, of: :instance) { |_owner, &ends| ends.call }
    end

    def native_release
      replace(Poolkeeper::Pools, :release) { 0 }
    end

    def native_reclaim
      replace(Poolkeeper::Pool, :reclaim, of: :instance) { nil }
    end

    def farewell
      Poolkeeper::Observed::Farewell.remove_method(:disconnect!)
    end

    def walk
      replace(Poolkeeper::Observed::Walk, :check) { |_| nil }
    end

    def verify
      replace(Poolkeeper::Handler, :verify) { |_| nil }
    end

    def epoch
      original = Poolkeeper::Incidents.method(:_fault)
      replace(Poolkeeper::Incidents, :_fault) do |fault, pool, owner|
        fault == :demoted ? [[], 0] : original.call(fault, pool, owner)
      end
    end

    def exclusions
      replace(Poolkeeper::Fault, :of) { |error| :dead if error }
    end

    def guard
      replace(Poolkeeper::Handler, :call) { |_doing, _otherwise, &block| block.call }
      replace(Poolkeeper::Log, :rescued) { |_doing, error| raise error }
    end

    def telling
      replace(Poolkeeper::Log, :rescued) { |_doing, _error| nil }
    end

    def told_before
      replace(Poolkeeper::Handler, :told_before?) { |_| false }
    end

    def close_idle
      replace(Poolkeeper::Handler, :close_idle) { 0 }
    end

    def parting
      replace(Poolkeeper::Sockets, :_part) { |*| false }
    end

    def strays
      replace(Poolkeeper::ForkHook, :stray) { nil }
    end

    def forgotten_thread
      replace(Poolkeeper::Background, :forked) { |**| nil }
    end

    def replace(owner, name, of: :singleton, &body)
      target = of == :instance ? owner : owner.singleton_class
      visibility = target.private_method_defined?(name) ? :private : :public
      # Redefined in place it would be a warning, and a warning is an error here.
      target.remove_method(name)
      target.define_method(name, &body)
      target.send(visibility, name)
    end
  end
end

Switches.off(ENV.fetch("POOLKEEPER_OFF").split(","))
