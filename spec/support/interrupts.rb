# frozen_string_literal: true

require_relative "timeouts"

module Support
  # The four interrupts of a wait: a Timeout, Thread#kill, a raise from another thread, a handler of signals; and the
  # waits themselves, made to last until an example has seen enough.
  module Interrupts
    include Timeouts

    # What Thread#raise sends, as Sidekiq does at its end. An ordinary error could not be told from one of a callback's.
    class Raised < Interrupt; end

    SIGNAL = "USR2"

    def self.included(group)
      group.after { part_from_orphans }
    end

    # Where a thread waits until the example lets it go.
    class Gate
      def initialize
        @arrived = Queue.new
        @go = Queue.new
      end

      def wait
        @arrived << true
        @go.pop
      end

      def arrived?
        !@arrived.empty?
      end

      # For good.
      def open
        @go.close
      end
    end

    # @return [Gate] opened at the example's end at the latest
    def gate
      Gate.new.tap { |gate| (@gates ||= []) << gate }
    end

    # What else lets a wait end.
    def on_opening(&block)
      (@openings ||= []) << block
    end

    def open_gates
      @gates&.each(&:open)
      @openings&.shift&.call until @openings.nil? || @openings.empty?
    end

    # Has another thread take a pool's lock just before the method `by` of ours asks the pool for `what`, and keep it.
    #
    # @param within [String, nil] "file#method" that calls `by`, however indirectly, where others do so as well
    def lock_before(pool, what, by:, within: nil)
      gate = gate()
      armed = true
      example = self
      pool.define_singleton_method(what) do |*arguments, &block|
        callers = armed ? caller_locations(1) : []
        if callers.first&.base_label == by && (within.nil? || example.in?(callers, within))
          armed = false
          # Other than by #synchronize, which may be the method that is watched here.
          Thread.new { mon_synchronize { gate.wait } }
          Thread.pass until gate.arrived?
        end
        super(*arguments, &block)
      end
      gate
    end

    # A thread that is killed while its driver connects may leave the socket to nobody, not even to the collector. It is
    # no connection of any pool's, and the next examples are to count it no more.
    def part_from_orphans
      GC.start
      owned = pools.flat_map(&:connections).map { |adapter| Poolkeeper::Observed::Driver.descriptor(adapter) }
      orphans = [primary, standby].flat_map { |node| Proc.inodes_to(node.port) }.map { |inode| "socket:[#{inode}]" }
      Proc.fds.each do |descriptor, target|
        next if owned.include?(descriptor) || !orphans.include?(target)

        # Should it have an owner after all, that one closes the null device.
        Poolkeeper::Sockets._part(*Poolkeeper::Sockets._identity(descriptor))
      end
    end

    # Has a method of an object, which is the application's or the driver's, wait before it does its work.
    def wait_in(object, what)
      gate = gate()
      object.define_singleton_method(what) do |*arguments, &block|
        gate.wait
        super(*arguments, &block)
      end
      gate
    end

    # Has a connection wait in a checkin callback of the application.
    def wait_at_checkin(adapter)
      gate = gate()
      adapter.singleton_class.set_callback(:checkin, :before) { gate.wait }
      gate
    end

    # Runs a block on a thread of the application's, which ends its work as a job does; how it went is in :outcome.
    def application
      thread = Thread.new do
        yield.tap { |value| Thread.current[:outcome] = [:returned, value] }
      rescue Exception => e # rubocop:disable Lint/RescueException -- told to the example
        Thread.current[:outcome] = [:raised, e.class]
        Poolkeeper.release
      end
      thread.report_on_exception = false
      (@threads ||= []) << thread
      thread
    end

    def end_threads
      @threads&.each { |thread| thread.kill.join(5) }
    end

    # Runs a block while a handler of signals is installed that notes in `order` when it ran.
    def with_handler(order)
      before = trap(SIGNAL) { order << :handled }
      yield
    ensure
      trap(SIGNAL, before || "DEFAULT")
    end

    # @return [Boolean] whether a thread is asleep in these methods, each named "file#method"
    def asleep_in?(thread, methods)
      return false unless thread&.status == "sleep"

      stack = thread.backtrace_locations || []
      methods.all? { |method| in?(stack, method) }
    end

    # @return [Boolean] whether a stack leads through a method, named "file#method"
    def in?(stack, method)
      file, name = method.split("#")
      stack.any? { |location| location.base_label == name && location.path.end_with?(file) }
    end

    def poolkeeper_thread
      Thread.list.find { |thread| thread.name == "poolkeeper" }
    end
  end
end
