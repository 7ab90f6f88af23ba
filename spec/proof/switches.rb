# frozen_string_literal: true

# Switches single mechanisms off, to see the specs that prove them fail. Loaded by spec_helper where POOLKEEPER_OFF
# names some; nothing like it is in the gem.
module Switches
  OFF = {
    "release" => -> { replace(Poolkeeper::Handler, :release) { |_leaks| 0 } },
    "discard" => lambda {
      replace(Poolkeeper::Observed::Release, :leak, of: :instance) { |adapter, pool, _| check_in(adapter, pool) && 1 }
    },
    "rule_fixture" => -> { replace(Poolkeeper::Observed::Transactions, :fixture?) { |*| false } },
    "rule_block" => -> { replace(Poolkeeper::Observed::Transactions, :block_alive?) { |_| false } },
    "rule_fiber" => -> { replace(Poolkeeper::Observed::Transactions, :block_alive?) { |_| on_stack?("within_new_transaction") } },
    "rule_raw_checkout" => lambda {
      replace(Poolkeeper::Observed::Release, :keep, of: :instance) { |_, pool, _| pool.connections.each { |c| pool.checkin(c) }.size }
    },
    "check_at_checkout" => -> { replace(Poolkeeper::Observed::Callbacks, :freshen) { |*| nil } },
    "eviction" => -> { replace(Poolkeeper::Observed::Eviction, :evict) { |_| false } },
    "idle_only" => lambda {
      replace(Poolkeeper::Observed::Eviction, :sweep) { |pool| pool.connections.each { |c| Poolkeeper::Observed::Driver.drop(c) }.size }
    },
    "hang_ups_only" => lambda {
      Poolkeeper::Mirror.singleton_class.prepend(Module.new do
        def _condemned(number)
          adapter = Poolkeeper::Observed::Adapters[number]
          descriptor = adapter ? Poolkeeper::Observed::Driver.descriptor(adapter) : -1
          super || (descriptor >= 0 && IO.for_fd(descriptor, autoclose: false).wait_readable(0) ? "readable" : nil)
        end
      end)
    },
    "identity" => lambda {
      numbers = {}
      original = Poolkeeper::Mirror.method(:_checkin)
      replace(Poolkeeper::Mirror, :_checkin) do |number, descriptor|
        next Poolkeeper::Mirror._lease_ended(number) if numbers[number] == descriptor

        numbers[number] = descriptor
        original.call(number, descriptor)
      end
    },
    "walk" => -> { replace(Poolkeeper::Observed::Walk, :check) { |_| nil } },
    "verify" => -> { replace(Poolkeeper::Handler, :verify) { |_| nil } },
    "epoch" => lambda {
      original = Poolkeeper::Incidents.method(:_fault)
      replace(Poolkeeper::Incidents, :_fault) { |fault, pool, owner| fault == :demoted ? [[], 0] : original.call(fault, pool, owner) }
    },
    "rule_replica" => lambda {
      original = Poolkeeper::Mirror.method(:_pool)
      replace(Poolkeeper::Mirror, :_pool) { |*description, _replica| original.call(*description, false) }
    },
    "exclusions" => -> { replace(Poolkeeper::Fault, :of) { |error| :dead if error } },
    "guard" => lambda {
      replace(Poolkeeper::Handler, :call) { |_doing, _otherwise, &block| block.call }
      replace(Poolkeeper::Log, :rescued) { |_doing, error| raise error }
    },
    "telling" => -> { replace(Poolkeeper::Log, :rescued) { |_doing, _error| nil } }
  }.freeze

  def self.replace(owner, name, of: :singleton, &body)
    target = of == :instance ? owner : owner.singleton_class
    visibility = target.private_method_defined?(name) ? :private : :public
    target.define_method(name, &body)
    target.send(visibility, name)
  end

  def self.throw(names)
    names.each { |name| OFF.fetch(name).call }
  end
end

$VERBOSE.then do |verbose|
  # Every replacement is a redefinition.
  $VERBOSE = nil
  Switches.throw(ENV.fetch("POOLKEEPER_OFF").split(","))
  $VERBOSE = verbose
end
