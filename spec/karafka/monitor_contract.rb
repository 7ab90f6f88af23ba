# frozen_string_literal: true

require_relative "../support/karafka_worker"

# What poolkeeper relies on in `Karafka.monitor`. It holds for the real one and for the double, so that the double
# cannot become kinder than what users run.
#
# Needs `build`, a Proc that takes `without:` and returns a monitor, and `not_registered`, the class of its error for
# unknown events.
RSpec.shared_examples "karafka monitor" do
  subject(:monitor) { build.call }

  let(:bus) { monitor.notifications_bus }
  let(:seen) { [] }

  # A listener object whose handlers call the block with their own name and the event.
  def listener_for(*events, &block)
    Object.new.tap do |listener|
      events.each do |name|
        listener.define_singleton_method("on_#{name.tr(".", "_")}") { |event| block.call(name, event) }
      end
    end
  end

  describe "dispatch" do
    it "calls subscribers on the thread that instruments, in the order of subscription, before it returns" do
      monitor.subscribe("worker.completed") { seen << [:first, Thread.current] }
      monitor.subscribe(listener_for("worker.completed") { seen << [:second, Thread.current] })
      monitor.subscribe("worker.completed") { seen << [:third, Thread.current] }

      thread = Thread.new { monitor.instrument("worker.completed", {}) }.join

      expect(seen).to eq([[:first, thread], [:second, thread], [:third, thread]])
    end

    it "lets through whatever a subscriber raises, and skips the subscribers after it" do
      [RuntimeError.new("a"), Exception.new("b"), NotImplementedError.new("c")].each do |error|
        fresh = build.call
        fresh.subscribe("error.occurred") { raise error }
        fresh.subscribe("error.occurred") { seen << :too_far }

        expect { fresh.instrument("error.occurred", {}) }.to raise_error(error)
      end
      expect(seen).to be_empty
    end

    it "lets through what the handler of a listener object raises" do
      monitor.subscribe(listener_for("worker.completed") { raise ArgumentError, "handler" })

      expect { monitor.instrument("worker.completed", {}) }.to raise_error(ArgumentError, "handler")
    end

    it "does not call a subscriber that was added during the dispatch" do
      monitor.subscribe("worker.completed") { monitor.subscribe("worker.completed") { seen << :late } }

      monitor.instrument("worker.completed", {})
      expect(seen).to be_empty

      monitor.instrument("worker.completed", {})
      expect(seen).to eq([:late])
    end

    it "does not skip the next subscriber when one removes itself during the dispatch" do
      first = proc { monitor.unsubscribe(first) }
      monitor.subscribe("worker.completed", &first)
      monitor.subscribe("worker.completed") { seen << :second }

      2.times { monitor.instrument("worker.completed", {}) }

      expect(seen).to eq(%i[second second])
      # Not `include(first)`: that matcher calls a Proc.
      expect(monitor.listeners["worker.completed"].size).to eq(1)
    end
  end

  describe "the event" do
    def event_of(*arguments, &block)
      event = nil
      subscriber = proc { |received| event = received }
      monitor.subscribe("worker.completed", &subscriber)
      monitor.instrument("worker.completed", *arguments, &block)
      event
    end

    it "carries the very Hash that was instrumented" do
      payload = { job: nil }
      event = event_of(payload)

      expect(event.id).to eq("worker.completed")
      expect(event.payload).to equal(payload)
      expect(event[:job]).to be_nil
    end

    it "raises KeyError for a missing key, :time included" do
      event = event_of({ job: nil })

      expect { event[:error] }.to raise_error(KeyError)
      expect { event[:time] }.to raise_error(KeyError)
    end

    it "can have nil for a payload, and then raises NoMethodError for every key" do
      event = event_of(nil)

      expect(event.payload).to be_nil
      expect { event[:job] }.to raise_error(NoMethodError)
    end

    it "has an empty payload where none was given" do
      expect(event_of.payload).to eq({})
    end

    it "carries the milliseconds of an instrumented block, and leaves the caller's Hash as it was" do
      payload = { job: nil }
      event = event_of(payload) { sleep(0.002) }

      expect(event[:time]).to be_a(Float).and be >= 2
      expect(event.payload).to eq({ job: nil, time: event[:time] })
      expect(payload).to eq({ job: nil })
    end

    it "is no Hash: neither to_h nor key? nor fetch nor dig" do
      event = event_of({ job: nil })

      expect(%i[to_h to_hash key? fetch dig].select { |name| event.respond_to?(name) }).to be_empty
    end
  end

  describe "event names" do
    it "raises for an unknown name, from a block subscription, instrument and clear" do
      expect(not_registered.ancestors).to include(StandardError)
      expect { monitor.subscribe("no.such") { nil } }.to raise_error(not_registered)
      expect { monitor.instrument("no.such", {}) }.to raise_error(not_registered)
      expect { monitor.instrument("no.such", {}) { seen << :ran } }.to raise_error(not_registered)
      expect { bus.clear("no.such") }.to raise_error(not_registered)
      expect(seen).to be_empty
    end

    it "takes a symbol in instrument and not in subscribe" do
      monitor.subscribe("worker.completed") { |event| seen << event.id }
      monitor.instrument(:"worker.completed", {})

      expect(seen).to eq(["worker.completed"])
      expect { monitor.subscribe(:"worker.completed") { nil } }.to raise_error(not_registered)
    end

    it "can lack events, as older versions do" do
      older = build.call(without: %w[worker.scaling.up])

      expect { older.subscribe("worker.scaling.up") { nil } }.to raise_error(not_registered)
      expect { older.instrument("worker.scaling.up", {}) }.to raise_error(not_registered)
      expect(older.listeners.keys).to contain_exactly(*monitor.listeners.keys - %w[worker.scaling.up])
    end

    it "knows every event that poolkeeper listens to" do
      expect(bus.available_events).to include(
        "worker.process", "worker.processed", "worker.completed", "error.occurred",
        "connection.listener.fetch_loop", "connection.listener.after_fetch_loop", "client.events_poll",
        "swarm.manager.before_fork", "swarm.manager.after_fork", "swarm.node.after_fork",
        "app.running", "app.quiet", "app.stopping", "app.stopped"
      )
    end
  end

  describe "object subscription" do
    it "finds public handlers only" do
      listener = listener_for("worker.process", "worker.processed", "worker.completed") { |name, _| seen << name }
      listener.singleton_class.send(:private, :on_worker_process)
      listener.singleton_class.send(:protected, :on_worker_processed)
      monitor.subscribe(listener)

      %w[worker.process worker.processed worker.completed].each { |name| monitor.instrument(name, {}) }

      expect(seen).to eq(["worker.completed"])
    end

    it "asks once: neither handlers defined later nor events registered later are picked up" do
      listener = listener_for("worker.completed", "app.invented") { |name, _| seen << name }
      monitor.subscribe(listener)
      listener.define_singleton_method(:on_error_occurred) { |_| seen << "error.occurred" }
      bus.register_event("app.invented")

      %w[worker.completed error.occurred app.invented].each { |name| monitor.instrument(name, {}) }

      expect(seen).to eq(["worker.completed"])
    end

    it "skips handlers of events that this version does not know" do
      older = build.call(without: %w[worker.scaling.up])
      older.subscribe(listener_for("worker.scaling.up", "worker.completed") { |name, _| seen << name })

      older.instrument("worker.completed", {})

      expect(seen).to eq(["worker.completed"])
    end

    it "takes a Proc without a name for a listener object, and never calls it" do
      expect { monitor.subscribe(proc { seen << :proc }) }.not_to raise_error
      expect { monitor.subscribe(->(_event) { seen << :lambda }) }.not_to raise_error

      monitor.instrument("worker.completed", {})

      expect(seen).to be_empty
      expect(monitor.listeners.values.flatten).to be_empty
    end

    it "takes an object for an event's name when a block comes with it" do
      expect { monitor.subscribe(Object.new) { nil } }.to raise_error(not_registered)
    end
  end

  describe "subscribing twice" do
    it "calls twice, objects and blocks, until unsubscribe removes every copy from all events" do
      listener = listener_for("worker.completed", "error.occurred") { |name, _| seen << name }
      block = proc { seen << :block }
      2.times do
        monitor.subscribe(listener)
        monitor.subscribe("worker.completed", &block)
      end

      monitor.instrument("worker.completed", {})
      expect(seen.tally).to eq({ "worker.completed" => 2, block: 2 })

      [listener, block].each { |subscriber| monitor.unsubscribe(subscriber) }
      %w[worker.completed error.occurred].each { |name| monitor.instrument(name, {}) }
      expect(seen.size).to eq(4)
      expect(monitor.listeners.values.flatten).to be_empty
    end
  end

  describe "#instrument" do
    it "returns nil without a block, with and without subscribers" do
      expect(monitor.instrument("worker.completed", {})).to be_nil
      monitor.subscribe("worker.completed") { :ignored }
      expect(monitor.instrument("worker.completed", {})).to be_nil
    end

    it "returns the value of its block, with and without subscribers" do
      expect(monitor.instrument("worker.processed", {}) { :value }).to eq(:value)
      monitor.subscribe("worker.processed") { :ignored }
      expect(monitor.instrument("worker.processed", {}) { :value }).to eq(:value)
    end

    it "runs its block before the subscribers, and sends nothing when the block raises" do
      monitor.subscribe("worker.processed") { seen << :subscriber }

      monitor.instrument("worker.processed", {}) { seen << :block }
      expect(seen).to eq(%i[block subscriber])

      expect { monitor.instrument("worker.processed", {}) { raise "work" } }.to raise_error(RuntimeError, "work")
      expect(seen).to eq(%i[block subscriber])
    end
  end

  describe "the surface" do
    it "is small: the rest is on the bus" do
      offered = %i[instrument subscribe unsubscribe listeners notifications_bus]

      expect(offered.reject { |name| monitor.respond_to?(name) }).to be_empty
      expect(%i[available_events register_event clear].select { |name| monitor.respond_to?(name) }).to be_empty
      expect(%i[available_events register_event clear].reject { |name| bus.respond_to?(name) }).to be_empty
    end

    it "clears one event or all of them" do
      %w[worker.process worker.completed error.occurred].each { |name| monitor.subscribe(name) { seen << name } }
      bus.clear("worker.process")
      monitor.instrument("worker.process", {})
      monitor.instrument("worker.completed", {})
      bus.clear
      monitor.instrument("error.occurred", {})

      expect(seen).to eq(["worker.completed"])
    end
  end
end
