# frozen_string_literal: true

require "spec_helper"
require_relative "listener_contract"
require_relative "../support/karafka/real_monitor"

RSpec.describe Poolkeeper::KarafkaListener do
  subject(:listener) { described_class.new }

  # The double always, the real one wherever its gem can be loaded.
  monitors = { "the double" => -> { Support::KarafkaMonitor.new } }
  monitors["the real monitor"] = -> { Support::RealKarafkaMonitor.build } if Support::RealKarafkaMonitor.available?

  monitors.each do |name, build|
    context "with #{name}" do
      let(:monitor) { build.call }

      it_behaves_like "a subscriber of karafka's monitor"
      it_behaves_like "poolkeeper's primitives in block subscriptions"
    end
  end

  it "has a handler for each of its events and for no other of Karafka's" do
    names = described_class.public_instance_methods(false).map { |name| name.to_s.delete_prefix("on_") }
    events = Support::KarafkaMonitor::EVENTS.map { |name| name.tr(".", "_") }
    expect(names - events).to be_empty
  end

  describe "options" do
    { { release: nil } => /\Arelease takes true or false, and was given nil/,
      { verify: "yes" } => /\Averify takes true or false, and was given a String/,
      { leaks: :ignore } => /\Aleaks takes :discard or :report, and was given :ignore/,
      { leaks: "report" } => /\Aleaks takes .*a String/ }.each do |options, message|
      it "that are wrong are refused by name, before anything is subscribed (#{options})" do
        expect { described_class.new(**options) }.to raise_error(Poolkeeper::ConfigurationError, message)
      end
    end

    it "that are unknown are refused by name" do
      expect { described_class.new(relase: true) }.to raise_error(ArgumentError, /relase/)
    end
  end

  describe "on real connections", :database do
    let(:monitor) { Support::KarafkaMonitor.new }
    let(:scenarios) { Support::KarafkaScenarios }
    let(:item) { Support::Models::Item }

    def busy
      pools.sum { |pool| pool.stat[:busy] + pool.stat[:dead] }
    end

    # Leases in every role and shard, which a job leaves behind.
    def leave_behind
      [%i[writing default], %i[reading default], %i[writing one], %i[reading one]].each do |role, shard|
        hold(role: role, shard: shard).select_value("SELECT 1")
      end
    end

    # How much is leased once the job's last event has been handled, while its worker lives on.
    def busy_after_job(**options, &work)
      Support::KarafkaWorkers.open(monitor, **options) do |workers|
        workers.perform("orders", 3, &work).join
        expect(workers.alive.size).to eq(1)
        busy
      end
    end

    context "subscribed" do
      before { monitor.subscribe(listener) }

      it "leaves a worker nothing in any role or shard when its job has ended, well or not" do
        expect(busy_after_job { leave_behind }).to eq(0)
        expect(busy_after_job { leave_behind && raise("the job's") }).to eq(0)
        expect(primary.backends.size + standby.backends.size).to eq(4)
      end

      it "leaves nothing to a worker that is killed" do
        ready = Queue.new
        Support::KarafkaWorkers.open(monitor) do |workers|
          workers.perform { leave_behind && (ready << true) && sleep }
          ready.pop
          workers.terminate
          workers.join
        end
        expect(busy).to eq(0)
      end

      it "has a forgotten transaction rolled back, and reports it with the topic and partition of its job" do
        left = busy_after_job do
          hold.begin_transaction(_lazy: false)
          item.create!(n: 1)
        end
        expect(left).to eq(0)
        wait_until { idle_in_transaction.zero? }
        expect(rows).to eq(0)
        expect_log(/a transaction was left open \(.*topic=orders partition=3/)
      end

      it "reports with the right job where many workers forget at once" do
        reported = Queue.new
        Poolkeeper.events.subscribe("connection.leaked") { |event| reported << [event[:topic], event[:partition]] }
        Support::KarafkaWorkers.open(monitor, concurrency: 4) do |workers|
          Array.new(12) { |number| workers.perform("topic#{number}", number) { hold.begin_transaction } }.each(&:join)
        end
        wait_until { reported.size == 12 }
        expect(Array.new(12) { reported.pop }).to match_array(Array.new(12) { |number| ["topic#{number}", number] })
      end

      it "lets the next job of a worker write what the forgotten transaction before it would have undone" do
        Support::KarafkaWorkers.open(monitor) do |workers|
          workers.perform { hold.begin_transaction(_lazy: false) }.join
          workers.perform { item.create!(n: 2) }.join
        end
        expect(rows("n = 2")).to eq(1)
      end

      it "does so where that one was begun with raw SQL, too", only: :postgresql do
        Support::KarafkaWorkers.open(monitor) do |workers|
          workers.perform { hold.execute("BEGIN") }.join
          workers.perform { item.create!(n: 2) }.join
        end
        expect(rows("n = 2")).to eq(1)
      end

      it "leaves a holder of a lock or LISTEN to its thread that was there before a job, and takes one of the job's" do
        before = nil
        monitor.subscribe("consumer.wrap") do
          before ||= writing_pool.checkout.tap { |adapter| adapter.execute(dialect::LINGER) }
        end
        left = Support::KarafkaWorkers.open(monitor) do |workers|
          3.times { workers.perform { writing_pool.checkout.select_value("SELECT 1") }.join }
          [busy, before.in_use?, before.select_value(dialect::LINGERS)]
        end
        expect(left).to match([1, an_instance_of(Thread), be_truthy])
      ensure
        writing_pool.reap
      end

      it "leaves a transaction block alone in which an error is reported, and which goes on" do
        left = busy_after_job do
          item.transaction do
            item.create!(n: 1)
            error = dialect.dead
            monitor.instrument("error.occurred", { error:, caller: self, type: "librdkafka.error" })
            item.create!(n: 2)
          end
        end
        expect(left).to eq(0)
        expect(rows).to eq(2)
        expect(counts).to include(discarded: 0)
      end

      it "costs a worker whose connection died that one job" do
        types = Queue.new
        monitor.subscribe("error.occurred") { |event| types << event[:type] }
        Support::KarafkaWorkers.open(monitor) do |workers|
          workers.perform do
            adapter = hold
            primary.terminate([backend_of(adapter)])
            adapter.execute("UPDATE items SET n = 1")
          end.join
          3.times { |number| workers.perform { item.create!(n: number) }.join }
        end
        expect(Array.new(types.size) { types.pop }).to eq(["consumer.consume.error"])
        expect(rows).to eq(3)
      end

      %w[connection.listener.fetch_loop client.events_poll connection.listener.after_fetch_loop].each do |name|
        it "gives back what a listener thread holds, at #{name}" do
          left = Queue.new
          monitor.subscribe(name) { left << busy }
          on_thread do
            leave_behind
            monitor.instrument(name, { caller: Object.new, subscription_group: Object.new })
          end
          expect(left.pop).to eq(0)
        end
      end

      it "leaves no lease on any thread of a process that has consumed and ended" do
        # For each scheduled job and each worker, so that nobody waits for a connection.
        disconnect
        connect(pool: 10)
        consumer = Class.new(Support::KarafkaConsumer) do
          define_method(:initialized) { Support::Models::Item.first }
          define_method(:consume) do
            items = Support::Models::Item
            items.transaction { messages.each { |message| items.create!(n: message.offset) } }
            items.connection_pool.checkout.select_value("SELECT 1")
          end
          define_method(:on_before_schedule_consume) do
            super()
            Support::Models::Item.connection_pool.checkout.select_value("SELECT 1")
          end
        end
        partitions = Array.new(4) { |number| Support::KarafkaPartition.new("orders", number, Array.new(30)) }
        server = Support::KarafkaServer.new(monitor, consumer, partitions, concurrency: 2, pause: 0.02).start
        expect(server.wait_until_consumed(20)).to be(true)
        server.stop(5)

        expect(busy).to eq(0)
        expect(rows).to eq(120)
        expect(primary.backends.size).to be <= 10
        expect(counts).to include(discarded: 0, mirror_misses: 0)
      end

      it "closes the idle connections of the parent before it forks, and leaves those in use" do
        warm_up(4)
        held = hold
        pid = backend_of(held)
        statuses = scenarios.forks(monitor, rounds: 2) { hold.select_value("SELECT 1") == 1 && Poolkeeper.release == 1 }

        expect(statuses.map(&:exitstatus)).to eq([0, 0])
        wait_until { primary.backends.map(&:pid) == [pid] }
        expect(backend_of(held)).to eq(pid)
        expect(warm_up(3).size).to eq(3)
      end
    end

    it "releases nothing with release: false, on any event" do
      monitor.subscribe(described_class.new(release: false))
      left = busy_after_job do
        hold
        monitor.instrument("client.events_poll", { caller: self })
        monitor.instrument("connection.listener.fetch_loop", { caller: self })
      end
      expect(left).to eq(1)
    ensure
      writing_pool.reap
    end

    it "verifies nothing with verify: false, and still releases" do
      monitor.subscribe(described_class.new(verify: false))
      held = nil
      left = busy_after_job do
        adapter = hold
        pid = backend_of(adapter)
        error = dialect.dead
        monitor.instrument("error.occurred", { error:, caller: self, type: "librdkafka.error" })
        held = adapter.in_use? && backend_of(adapter) == pid
      end
      expect([held, left]).to eq([true, 0])
    end

    it "leaves and reports a forgotten transaction with leaks: :report" do
      monitor.subscribe(described_class.new(leaks: :report))
      left = busy_after_job do
        hold.begin_transaction(_lazy: false)
        item.create!(n: 1)
      end
      expect(left).to eq(1)
      expect(idle_in_transaction).to eq(1)
      expect_log(/a transaction was left open \(.*topic=orders partition=3/)
      expect(counts[:discarded]).to eq(0)
    ensure
      writing_pool.reap
    end
  end
end
