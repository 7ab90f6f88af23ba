# frozen_string_literal: true

require "spec_helper"
require_relative "../support/karafka_monitor"
require_relative "../support/karafka_worker"
require_relative "../support/karafka/bad_events"
require_relative "../support/resources"

# What a process of weeks meets on its worst day, with connections in its hands.
RSpec.describe Poolkeeper::KarafkaListener, :database do
  let(:monitor) { Support::KarafkaMonitor.new }
  let(:item) { Support::Models::Item }
  let(:releasing) { %i[on_worker_completed on_connection_listener_fetch_loop on_connection_listener_after_fetch_loop] }

  def busy
    pools.sum { |pool| pool.stat[:busy] + pool.stat[:dead] }
  end

  # Leases in two roles and two shards, which a job leaves behind.
  def leave_behind
    [%i[writing default], %i[reading default], %i[writing one]].each do |role, shard|
      hold(role: role, shard: shard).select_value("SELECT 1")
    end
  end

  def error_of
    yield
    nil
  rescue ActiveRecord::ActiveRecordError => e
    e
  end

  def owners
    Poolkeeper::Core._sizes[1]
  end

  # Waits until everything that has happened so far is told.
  def settled
    Poolkeeper::Events.tell("release.kept", reason: "the end")
    expect_log(/the end/)
  end

  describe "subscribed twice" do
    before { 2.times { monitor.subscribe(described_class.new) } }

    it "counts, tells and repairs once what happened once" do
      Support::KarafkaWorkers.open(monitor) do |workers|
        workers.perform("orders", 3) { leave_behind }.join
        workers.perform("orders", 4) { hold.begin_transaction(_lazy: false) }.join
        workers.perform("orders", 5) do
          adapter = hold
          primary.terminate([backend_of(adapter)])
          adapter.execute("UPDATE items SET n = 1")
        end.join
        expect(workers.alive.size).to eq(1)
      end
      settled

      # Up to 7.0 a connection that is dropped goes back then, and not at the release.
      released = Poolkeeper::Observed::Driver.lazy? ? 2 : 1
      expect(counts).to include(released: released, leaked: 1, discarded: 1, dropped: 1, mirror_misses: 0)
      expect(log_text.scan("a transaction was left open").size).to eq(1)
      expect(log_text.scan("topic=orders partition=4").size).to eq(2)
      expect(log_text.scan("dropped a connection before its next use").size).to eq(1)
      expect(busy).to eq(0)
    end
  end

  describe "told of an error again" do
    it "leaves alone what has taken the connection's place since" do
      adapter = hold
      primary.terminate([backend_of(adapter)])
      error = error_of { adapter.execute("UPDATE items SET n = 1") }
      listener = described_class.new
      tell = -> { listener.on_error_occurred(Support::KarafkaBadEvents.error_event(error)) }
      tell.call
      expect(counts[:dropped]).to eq(1)

      place = hold
      pid = backend_of(place)
      tell.call
      expect(Poolkeeper.verify(error)).to have_attributes(fault: :dead, condemned: 0, dropped: 0)
      expect(hold).to equal(place)
      expect(backend_of(place)).to eq(pid)
      expect(Poolkeeper.release).to eq(1)
      expect(counts[:dropped]).to eq(1)
    end
  end

  describe "given an event of which nothing can be asked" do
    bad = Support::KarafkaBadEvents.events

    bad.each_key do |wrong|
      it "still gives back what the thread holds, on whichever event of its kind (#{wrong})" do
        event = bad.fetch(wrong)
        listener = described_class.new
        left = (releasing + %i[on_client_events_poll]).map do |handler|
          on_thread do
            leave_behind
            listener.on_worker_process(event)
            listener.public_send(handler, event)
            busy
          end
        end
        expect(left).to eq([0, 0, 0, 0])
        expect(counts).to include(leaked: 0, dropped: 0, kept: 0, mirror_misses: 0)
      end
    end

    it "reports a leak without topic and partition where the job cannot say them" do
      listener = described_class.new
      on_thread do
        listener.on_worker_process(bad.fetch("a job whose executor raises"))
        hold.begin_transaction(_lazy: false)
        listener.on_worker_completed(nil)
      end
      expect_log(/a transaction was left open \((?!.*topic)/)
      expect(busy).to eq(0)
    end

    it "closes what is idle before a fork, and starts clean after it, whatever it is given" do
      listener = described_class.new
      bad.each_value do |event|
        warm_up(2)
        listener.on_swarm_manager_before_fork(event)
        listener.on_swarm_node_after_fork(event)
        wait_until(message: "closed") { primary.backends.empty? }
      end
    end
  end

  describe "where workers are scaled up and down all day" do
    before { monitor.subscribe(described_class.new) }

    # Has so many workers do a job each, at the same time; answers who they were.
    def busy_at_once(workers, count)
      begun = Queue.new
      gate = Queue.new
      jobs = Array.new(count) do
        workers.perform do
          begun << Thread.current.object_id
          gate.pop
          hold.select_value("SELECT 1")
        end
      end
      Array.new(count) { begun.pop }
    ensure
      count.times { gate << true }
      jobs.each(&:join)
    end

    it "remembers no more owners, connections and descriptors for hundreds of threads than for a few" do
      threads = []
      day = lambda do |times|
        Support::KarafkaWorkers.open(monitor, concurrency: 1) do |workers|
          times.times do
            workers.scale(20)
            threads.concat(busy_at_once(workers, 20))
            workers.scale(1)
            wait_until(message: "they have left") { workers.size == 1 }
          end
        end
        # What earlier examples have left to the collector is closed before it is counted.
        Support::Resources.collect
        [Poolkeeper::Core._sizes.first, busy, Support::Proc.fds.size]
      end
      first = day.call(2)
      last = day.call(70)

      expect(threads.uniq.size).to be > 1_300
      expect(last).to match([*first.first(2), be <= first.last])
      expect(owners).to be <= 1_025
      expect(primary.backends.size).to be <= Support::Database::SIZE
      expect(counts).to include(mirror_misses: 0, discarded: 0)
    end
  end

  describe "beside a subscriber that raises" do
    # Once, on events that fit.
    def raising_once(name, &fits)
      once = [true]
      monitor.subscribe(name) { |event| raise "the subscriber's" if (fits.nil? || fits.call(event)) && once.pop }
    end

    %i[before after].each do |place|
      context "that is #{place} it" do
        def subscribe(place, name, &fits)
          monitor.subscribe(described_class.new) if place == :after
          raising_once(name, &fits)
          monitor.subscribe(described_class.new) if place == :before
        end

        it "gives back at worker.completed what a raising error.occurred kept from being looked at" do
          subscribe(place, "error.occurred")
          Support::KarafkaWorkers.open(monitor) do |workers|
            workers.perform do
              leave_behind
              hold.begin_transaction(_lazy: false)
              raise "the job's"
            end.join
            expect([busy, workers.alive.size]).to eq([0, 1])
            workers.perform { item.create!(n: 1) }.join
          end
          expect([rows, idle_in_transaction]).to eq([1, 0])
        end

        it "gives back at the listener thread's next event what a raising one kept" do
          subscribe(place, "connection.listener.fetch_loop")
          left = on_thread do
            leave_behind
            begin
              monitor.instrument("connection.listener.fetch_loop", { caller: self })
            rescue RuntimeError
              # The listener thread's own rescue; it goes on.
            end
            held = busy
            monitor.instrument("client.events_poll", { caller: self })
            [held, busy]
          end
          expect(left).to eq([place == :before ? 3 : 0, 0])
        end

        it "loses no connection with the worker that a raising worker.completed ends" do
          subscribe(place, "worker.completed") { |event| event.payload[:job] }
          Support::KarafkaWorkers.open(monitor) do |workers|
            workers.perform { leave_behind }.join
            workers.join(5)
            expect(workers.crash).to have_attributes(message: "the subscriber's")
          end
          # Who took them is gone: it is for the pool to find out, when it has no more, or by its reaper.
          expect(busy).to eq(place == :before ? 3 : 0)
          expect(warm_up(Support::Database::SIZE).size).to eq(Support::Database::SIZE)
          pools.each(&:reap)
          Poolkeeper::Observed::Walk.tidy
          expect(busy).to eq(0)
          expect(Poolkeeper.stats.values.sum { |stats| stats[:leases].size }).to eq(0)
        end
      end
    end
  end
end

# What Karafka does when a stop takes too long, and what an orphaned node of a swarm does to itself: no `ensure`, no
# `at_exit` and no finalizer runs.
RSpec.describe "A process with poolkeeper that ends by exit!", :database, :scripts do
  # Where it is when it ends; `arrived` says when it is there.
  places = {
    "in the middle of a release" => <<~RUBY,
      # Later nobody could: callbacks run under the pool's lock.
      write
      Thread.new do
        hold.select_value("SELECT 1")
        hold.singleton_class.set_callback(:checkin, :before) { (arrived << true) && sleep }
        Poolkeeper.release
      end
    RUBY
    "in the middle of an eviction" => <<~RUBY,
      victim = pool.checkout
      victim.select_value("SELECT 1")
      victim.define_singleton_method(:disconnect!) { (arrived << true) && sleep }
      pool.checkin(victim)
      terminate
    RUBY
    "with an incident open" => <<~RUBY,
      Array.new(4) { pool.checkout.tap { |adapter| adapter.select_value("SELECT 1") } }.each { |one| pool.checkin(one) }
      terminate
      # They hang up one by one, and a loaded machine takes its time between them.
      Poolkeeper::Incidents._fault(:dead, pool.object_id, 1)
      wait_until(message: "an incident") { !Poolkeeper.healthy? }
      arrived << true
    RUBY
    "while an event is carried to a subscriber" => <<~RUBY,
      Poolkeeper.events.subscribe("connection.leaked") { (arrived << true) && sleep }
      Thread.new { hold.begin_transaction(_lazy: false) && Poolkeeper.release }
    RUBY
    "while its workers take and release" => <<~RUBY
      4.times { Thread.new { loop { Poolkeeper.wrap { hold.select_value("SELECT 1") } } } }
      Thread.new { (Poolkeeper.wrap { hold.select_value("SELECT 1") }) && arrived << true }
    RUBY
  }

  places.each do |place, script|
    it "ends #{place}, and the server sees its connections go, with what they had not committed" do
      # What it stands in lasts for ever: who waited for that would not end at all.
      ruby(<<~RUBY, Support::Scripts::CONNECT, Support::Scripts::TERMINATE, Support::Scripts::POOLKEEPER,
        def write
          @adapter ||= pool.checkout.tap { |adapter| adapter.begin_transaction(_lazy: false) }
          @adapter.execute("INSERT INTO items (n) VALUES (1)")
        end
        arrived = Queue.new
        #{script}
        arrived.pop
        write
        exit!(0)
      RUBY
           database: primary.config(pool: Support::Database::SIZE + 1))

      wait_until(message: "the server has seen it") { primary.backends.empty? }
      expect(rows).to eq(0)
    end
  end
end
