# frozen_string_literal: true

module Support
  # Every place where poolkeeper waits: which methods, who waits there, which mask holds, and how to get there. Each has
  # its examples in spec/integration/interrupts_spec.rb, and spec/unit/wait_points_spec.rb finds those that are missing.
  module WaitPoints
    # - `at`: the methods that wait, as "file#method"
    # - `who`: the :application's own thread, the thread that verify! starts for its :attempt, or the :poolkeeper thread
    # - `held`: what the mask holds back until the wait is over: nothing, everything, or (:kill) all but exceptions
    #   where ActiveRecord's locks of 6.1 and 7.0 are around the wait, which let those in whatever mask is set
    # - `silent`: whether an error that is raised there is told to nobody
    # - `reach`: arranges that the wait comes and lasts; answers what the application calls, if it calls anything
    Point = Struct.new(:name, :at, :who, :held, :silent, :reach, keyword_init: true)

    class << self
      # @return [Array<Point>]
      attr_reader :all

      private

      def point(name, at:, who: :application, held: false, silent: false, &reach)
        @all << Point.new(name: name, at: Array(at), who: who, held: held, silent: silent, reach: reach)
      end
    end

    @all = []

    # What waits, but not for long enough to be interrupted there.
    NEVER = {
      "ext/core/src/socket/mod.rs#hung_up" => "polls with a timeout of 0",
      "ext/core/src/watch/mod.rs#hang_ups" => "waits with a timeout of 0",
      "ext/core/src/process/background.rs#follow" => "sleeps on the core's own thread, which Ruby does not know",
      "ext/core/src/process/overdue.rs#wait_for_overdue" => "the same",
      "lib/poolkeeper/awaiting.rb#attempts" => "the lock is held for a look into a table",
      "lib/poolkeeper/awaiting.rb#finish" => "for its own attempt, which was killed: at most FAREWELL",
      "ext/core/src/process/native/open.rs#begin_probing" => "the same",
      "ext/core/src/process/native/running.rs#end" => "the same",
      "ext/core/src/process/native/running.rs#late" => "the same",
      "ext/core/src/process/native/upkeep.rs#keep_up" => "the same",
      "ext/core/src/process/monitor/rounds.rs#begin_rounds" => "the same",
      "ext/core/src/process/monitor/question.rs#listen" => "the same",
      "ext/core/src/backend/descriptor.rs#opened" => "polls a future, once",
      "ext/core/src/backend/sqlite/mod.rs#open" => "the same",
      "ext/core/src/backend/sqlite/forks.rs#locked" => "a tenth of a second at most, for a lock that a fork has caught",
      "lib/poolkeeper/pools.rb#add" => "the lock is held for an assignment",
      "lib/poolkeeper/pools.rb#remove" => "the same",
      "lib/poolkeeper/pools.rb#define" => "the same",
      "lib/poolkeeper/pool.rb#resize" => "a writer of its own, of plain objects",
      "lib/poolkeeper/pool.rb#prepare" => "the same",
      "lib/poolkeeper/background.rb#start" => "Thread.new; whoever starts it has only tried a lock",
      "lib/poolkeeper/observed/callbacks.rb#queue" => "called with the pool's lock held, which is re-entrant",
      "lib/poolkeeper/observed/eviction.rb#take_away" => "the same",
      "lib/poolkeeper/observed/eviction.rb#idle?" => "the same",
      "lib/poolkeeper/observed/eviction.rb#remove" => "the same, and nobody waits for whom it would connect",
      "lib/poolkeeper/observed/proof.rb#numbers" => "has the pool's lock, for which it has not waited",
      "lib/poolkeeper/observed/proof.rb#take_back" => "the same",
      "lib/poolkeeper/observed/proof.rb#sever" => "for its own attempt, which connects or was killed: at most FAREWELL",
      "lib/poolkeeper/observed/reaper.rb#spawn_thread" => "for a thread that starts another, and ends",
      "lib/poolkeeper/observed/release.rb#roll_back" => "a database in this process answers at once"
    }.freeze

    # What has examples of its own: the spec, and how it is called there.
    ELSEWHERE = {
      "ext/poolkeeper/src/pool/mod.rs#queue" =>
        ["native/interrupts_spec.rb", "ends a wait for a connection, and the next in line is served"],
      "ext/poolkeeper/src/pool/statements.rs#outcome" =>
        ["native/interrupts_spec.rb", "ends a statement, on the server too"],
      "ext/poolkeeper/src/pool/statements.rs#wait_until_free" =>
        ["native/interrupts_spec.rb", "ends a wait for the statement before it"],
      "lib/poolkeeper/awaiting.rb#call" =>
        ["integration/wait_until_up_spec.rb", "is ended by an interrupt while another caller tries"],
      "lib/poolkeeper/awaiting.rb#try_native" =>
        ["native/wait_until_up_spec.rb", "is ended by an interrupt while its attempt waits"],
      "lib/poolkeeper/pool.rb#close" => ["native/interrupts_spec.rb", "ends the wait of a close"],
      "lib/poolkeeper/pools.rb#await_closed_files" =>
        ["native/interrupts_spec.rb", "ends the wait for files that are being closed before a fork"]
    }.freeze

    # Where all that takes a connection out of a pool waits for its lock.
    WHOLE = "lib/poolkeeper/observed/eviction.rb#whole"
    # The wait in Rust for what is to be told.
    NEXT = %w[ext/poolkeeper/src/notices.rs#next ext/gvl/src/wait.rs#without_gvl ext/gvl/src/signal.rs#wait].freeze

    point "for an event, in a thread of the application", at: NEXT do
      -> { Poolkeeper::Notices._next(60) }
    end

    point "for an event, in its own thread", at: "lib/poolkeeper/background.rb#turn", who: :poolkeeper do
      Poolkeeper::Background.ensure_running
      nil
    end

    point "to go on after a failure", at: "lib/poolkeeper/background.rb#turn", who: :poolkeeper do
      failures.define_singleton_method(:add) { |_now| [60, true] }
      poolkeeper_thread.raise(Support::Interrupts::Raised)
      wait_until { poolkeeper_thread.backtrace&.first&.include?("sleep") }
      on_opening do
        failures.singleton_class.remove_method(:add)
        poolkeeper_thread&.raise(Support::Interrupts::Raised)
      end
      nil
    end

    point "for a subscriber", at: "lib/poolkeeper/events.rb#carry", who: :poolkeeper do
      gate = gate()
      Poolkeeper.events.subscribe("release.kept") { gate.wait }
      Poolkeeper::Events.tell("release.kept")
      nil
    end

    point "for the application's logger", at: "lib/poolkeeper/log.rb#line", who: :poolkeeper, silent: true do
      wait_in(Poolkeeper.config.logger, :info)
      Poolkeeper::Events.tell("release.kept")
      nil
    end

    point "to be subscribed to", at: "lib/poolkeeper/events.rb#subscribe_to" do
      gate = gate()
      mutex = Poolkeeper.events.instance_variable_get(:@mutex)
      Thread.new { mutex.synchronize { gate.wait } }
      wait_until { gate.arrived? }
      -> { Poolkeeper.events.subscribe("release.kept") { nil } }
    end

    point "for the pool's lock at a release", at: "lib/poolkeeper/observed/release.rb#mine?", held: true do
      lock_before(writing_pool, :connections, by: "mine?")
      -> { hold && Poolkeeper.release }
    end

    point "for a checkin callback at a release", at: "lib/poolkeeper/observed/release.rb#check_in", held: :kill do
      wait_at_checkin(idle)
      -> { hold && Poolkeeper.release }
    end

    point "for a checkin callback at the release of a raw checkout",
          at: "lib/poolkeeper/observed/release.rb#check_in", held: :kill do
      wait_at_checkin(idle)
      -> { writing_pool.checkout && Poolkeeper.release }
    end

    point "for a checkin callback at the end of wrap",
          at: ["lib/poolkeeper.rb#wrap", "lib/poolkeeper/observed/release.rb#check_in"], held: :kill do
      wait_at_checkin(idle)
      -> { Poolkeeper.wrap { hold.select_value("SELECT 1") } }
    end

    point "for the pool's lock at the end of a failing wrap",
          at: ["lib/poolkeeper.rb#wrap", "lib/poolkeeper/observed/release.rb#mine?"], held: true do
      lock_before(writing_pool, :connections, by: "mine?")
      -> { Poolkeeper.wrap { hold && raise(Support::Interrupts::Raised) } }
    end

    point "for the pool's lock to give up a connection whose checkin callback raised",
          at: ["lib/poolkeeper/observed/eviction.rb#give_up", WHOLE], held: true do
      raised = false
      idle.singleton_class.set_callback(:checkin, :before) do
        raised ||= raise("the application's callback")
      ensure
        raised = true
      end
      lock_before(writing_pool, :synchronize, by: "whole")
      -> { hold && Poolkeeper.release }
    end

    # At every hundredth release of something.
    point "for the pool's lock at a release that walks", at: "lib/poolkeeper/observed/walk.rb#each_connection",
                                                         held: true do
      lock_before(writing_pool, :synchronize, by: "each_connection", within: "lib/poolkeeper.rb#release")
      -> { 100.times { hold && Poolkeeper.release } }
    end

    point "for the pool's lock when observing begins", at: "lib/poolkeeper/observed/walk.rb#each_connection",
                                                       held: true do
      lock_before(writing_pool, :synchronize, by: "each_connection", within: "lib/poolkeeper.rb#observe")
      lambda do
        Poolkeeper::Observed.instance_variable_set(:@observing, nil)
        Poolkeeper.observe
      end
    end

    # The thread's own release, just before, walks as well where its last walk was long ago, and is held back.
    point "for the pool's lock when the mirror is tidied",
          at: ["lib/poolkeeper/background.rb#tidy", "lib/poolkeeper/observed/walk.rb#each_connection"],
          who: :poolkeeper do
      lock_before(writing_pool, :synchronize, by: "each_connection", within: "background.rb#tidy")
      Poolkeeper::Background.instance_variable_set(:@tidied, -60.0)
      Poolkeeper::Events.tell("release.kept")
      nil
    end

    point "for the pool's lock to evict, in its own thread",
          at: ["lib/poolkeeper/observed/eviction.rb#take", WHOLE], who: :poolkeeper, held: true do
      idle
      lock_before(writing_pool, :synchronize, by: "whole")
      primary.terminate(:all)
      nil
    end

    point "for the pool's lock to sweep", at: "lib/poolkeeper/observed/eviction.rb#settle" do
      lock_before(writing_pool, :synchronize, by: "settle")
      -> { Poolkeeper.verify!(Support::Models::Item) }
    end

    point "for the pool's lock to find what to sweep", at: "lib/poolkeeper/observed/eviction.rb#sweep" do
      lock_before(writing_pool, :connections, by: "sweep")
      -> { Poolkeeper.verify!(Support::Models::Item) }
    end

    point "for the pool's lock to evict, in verify!",
          at: ["lib/poolkeeper/observed/eviction.rb#take", WHOLE], held: true do
      Poolkeeper.configure { |config| config.watch = false }
      idle
      primary.terminate(:all)
      lock_before(writing_pool, :synchronize, by: "whole")
      -> { Poolkeeper.verify!(Support::Models::Item) }
    end

    point "for the pool's lock to close idle connections before a fork",
          at: "lib/poolkeeper/observed/eviction.rb#close_idle", held: true do
      idle
      lock_before(writing_pool, :connections, by: "close_idle")
      -> { Poolkeeper::KarafkaListener.new.on_swarm_manager_before_fork(nil) }
    end

    point "for the pool's numbers", at: "lib/poolkeeper/handler.rb#numbers", held: true do
      idle
      lock_before(writing_pool, :stat, by: "numbers")
      -> { Poolkeeper.stats }
    end

    point "for a driver to close a condemned connection at checkout", at: "lib/poolkeeper/observed/driver.rb#drop",
                                                                      held: true do
      Poolkeeper.configure { |config| config.watch = false }
      wait_in(idle, :disconnect!)
      primary.terminate(:all)
      -> { hold.select_value("SELECT 1") }
    end

    point "for a driver to close a leaked connection at a release", at: "lib/poolkeeper/observed/driver.rb#drop",
                                                                    held: true do
      wait_in(idle, :disconnect!)
      -> { hold.begin_transaction && Poolkeeper.release }
    end

    point "for a driver to close an evicted connection", at: "lib/poolkeeper/observed/driver.rb#drop",
                                                         who: :poolkeeper, held: true do
      wait_in(idle, :disconnect!)
      primary.terminate(:all)
      nil
    end

    # Where the pool is exhausted, both threads of a verify! wait, each for its own.
    { application: "lib/poolkeeper/observed/proof.rb#call", attempt: "lib/poolkeeper/observed/proof.rb#answer" }
      .each do |who, at|
        point "for a connection in verify!, on its #{who} thread", at: at, who: who do
          gate = gate()
          holders = Thread.new do
            adapters = Array.new(Support::Database::SIZE) { writing_pool.checkout }
            gate.wait
            adapters.each { |adapter| writing_pool.checkin(adapter) }
          end
          wait_until { gate.arrived? }
          on_opening { holders.join }
          -> { Poolkeeper.verify!(Support::Models::Item, timeout: 60) }
        end

        point "for a server that is silent in verify!, on its #{who} thread",
              at: at, who: who, held: who == :attempt && :driver do
          adapter = writing_pool.checkout
          backend = backend_of(adapter)
          writing_pool.checkin(adapter)
          primary.freeze_backend(backend)
          on_opening { primary.thaw_backend(backend) }
          -> { Poolkeeper.verify!(Support::Models::Item, timeout: 60) }
        end
      end

    point "for the pool's lock at the end of verify!, after a checkin callback raised",
          at: ["lib/poolkeeper/observed/eviction.rb#give_up", WHOLE], who: :attempt, held: true do
      idle.singleton_class.set_callback(:checkin, :before) { raise "the application's callback" }
      lock_before(writing_pool, :synchronize, by: "whole")
      -> { Poolkeeper.verify!(Support::Models::Item, timeout: 60) }
    end

    point "for a checkin callback at the end of verify!", at: "lib/poolkeeper/observed/proof.rb#give_back",
                                                          who: :attempt do
      wait_at_checkin(idle)
      -> { Poolkeeper.verify!(Support::Models::Item, timeout: 60) }
    end
  end
end
