# frozen_string_literal: true

module Poolkeeper
  # What becomes of a forked child. It starts clean, for neither the poolkeeper thread nor the locks are its own. And it
  # has no part in its parent's connections: a socket that it kept would keep the server's end alive, or be spoken to in
  # the parent's name.
  module ForkHook
    def _fork
      # Asked for here: in the child ActiveRecord may be first, and forget its drivers without closing their sockets.
      sockets = ForkHook.sockets
      Thread.current[ANNOUNCED] = sockets
      pid = super
      ForkHook.child(sockets) if pid.zero?
      pid
    ensure
      Thread.current[ANNOUNCED] = nil
    end

    # The sockets that a fork under way will part from. Where another's hook comes before ours in the child and calls
    # us, this was no fork that nobody has announced.
    ANNOUNCED = :poolkeeper_announced

    # Does not go through `_fork`. The parent is gone, so its connections are this process's own, and its leases too.
    def daemon(...)
      super.tap do
        ForkHook.child
        Handler.call("taking over connections in a daemon", nil) { Observed::Walk.take_over if Observed.observing? }
      end
    end

    ALONE = "forked in C, and Ruby was not told (rb_thread_atfork): no thread is started in this child, dead " \
            "connections are found at checkout, and nothing more is told here"

    # Up to 7.0 ActiveRecord looks at the pid when a pool is asked for, and forgets its drivers in a child. The sockets
    # of some stay open until they are collected, so they are parted from before that.
    module Tracker
      def check!
        ForkHook.look("looking for a fork")
        super
      end
    end

    class << self
      # Starts clean; harmless when called again, and in a process that has not forked.
      #
      # @param sockets [Array] what {Observed::Adapters.sockets} answered in the parent
      def child(sockets = [], attempts = 2)
        start_clean if Core._forked
        part(sockets)
      rescue InternalError => e
        # It would come out of the application's own `fork`.
        Log.rescued("starting clean after a fork", e)
        retry if (attempts -= 1).positive?
      end

      # Called by the core, which has started clean, at its first entry in a child that no hook has announced: forked in
      # C, or by Ruby where the hook is still to come.
      def stray
        Handler.call("starting clean in a child", nil) do
          if (announced = Thread.current[ANNOUNCED])
            start_clean
            part(announced)
          else
            start_unannounced(Background.haunted?)
          end
        end
      end

      # @return [Array] the sockets of all connections, as they are now
      def sockets
        Handler.call("looking at sockets before a fork", []) { Observed::Adapters.sockets }
      end

      # Native connections are to be parted from in children.
      def expect
        at_exit { look("looking for a fork at exit") } unless @following
        @following = true
      end

      # Has the core look for a fork before others do what would harm the parent. A child that ended without it would
      # have its drivers say goodbye over the parent's sockets.
      def follow
        tracker = ::ActiveSupport::ForkTracker
        tracker.singleton_class.prepend(Tracker) if tracker.respond_to?(:check!)
        return if @following

        at_exit { look("looking for a fork at exit") }
        @following = true
      end

      def look(doing)
        Core._look
      rescue InternalError => e
        Log.rescued(doing, e)
      end

      private

      def start_clean(alone: false)
        Background.forked(alone: alone)
        Observed::Pools.forget(Observed::Pools.numbers)
        Pools.forked
        Awaiting.forked
      end

      def start_unannounced(alone)
        start_clean(alone: alone)
        stay_alone if alone
        part(Observed::Adapters.sockets)
        Observed::Adapters.discard
        tell_active_record unless Observed::Transactions.active_record_on_stack? || (alone && !locks_free?)
      end

      def stay_alone
        Core._want_watch(false)
        # What they find out is told to nobody here.
        Monitors._want(nil, 1.0, 1.0, 1)
        Core._leak_threshold(nil)
        Observed::Stacks.want(false)
        # Not by way of the logger, whose lock may be held for ever by a thread that is not here.
        Poolkeeper.config.logger && $stderr.syswrite("[poolkeeper] #{ALONE}\n")
      rescue SystemCallError, IOError
        nil
      end

      # Whether no thread that the fork has ended holds the lock of a pool.
      def locks_free?
        Observed::Adapters.pools.all? { |pool| pool.mon_try_enter && (pool.mon_exit || true) }
      end

      def part(sockets)
        sockets.each { |descriptor, identity| Sockets._part(descriptor, identity) }
      end

      # From 7.1 on ActiveRecord trusts Ruby's hook, and has not noticed. It does what it does after any other fork,
      # which ends the leases of threads that are not here; in the middle of its own work that would be too much.
      def tell_active_record
        return unless defined?(::ActiveSupport::ForkTracker)

        tracker = ::ActiveSupport::ForkTracker
        # It compares pids, and from 3.3 on Ruby remembers its own until a fork that it knows of.
        tracker.instance_variable_set(:@pid, nil)
        tracker.respond_to?(:after_fork_callback) ? tracker.after_fork_callback : tracker.check!
      end
    end
  end

  ::Process.singleton_class.prepend(ForkHook)
end
