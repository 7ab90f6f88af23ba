# frozen_string_literal: true

require "spec_helper"

RSpec.describe Poolkeeper::Events do
  subject(:events) { described_class.new }

  let(:names) { described_class::LINES.keys }

  # A notice as the poolkeeper thread gets it.
  def notice(name = "connection.leaked", **more)
    { name: name, pool: nil, host: nil, owner: 7, topic: "orders", partition: 3, seconds: 0.25, count: nil,
      reason: nil, stack: nil, **more }
  end

  describe "subscribe" do
    it "with a name calls the block for that event and for no other" do
      seen = []
      events.subscribe("connection.leaked") { |event| seen << event.id }
      names.each { |name| events.carry(notice(name)) }
      expect(seen).to eq(["connection.leaked"])
    end

    it "with an object calls its public on_* methods, each for its event" do
      listener = Class.new do
        def seen = @seen ||= []
        def on_connection_leaked(event) = seen << event.id
        def on_incident_opened(event) = seen << event.id
        def on_something_else(event) = seen << event

        private

        def on_incident_closed(event) = seen << event.id
      end.new
      events.subscribe(listener)
      names.each { |name| events.carry(notice(name)) }
      expect(listener.seen).to eq(["connection.leaked", "incident.opened"])
    end

    it "with an object that has no such method does nothing" do
      expect { events.subscribe(Object.new) }.not_to raise_error
      expect { events.subscribe(proc {}) }.not_to raise_error
    end

    it "with the name of an event that does not exist names those that do" do
      ["connection.leaks", "", :"connection.leaked", nil].each do |name|
        expect { events.subscribe(name) { nil } }
          .to raise_error(Poolkeeper::EventNotRegistered, /no event.*connection\.leaked.*incident\.opened/)
      end
    end

    it "with a name and no block asks for the block" do
      expect { events.subscribe("connection.leaked") }
        .to raise_error(Poolkeeper::EventNotRegistered, /block.*connection\.leaked/)
    end

    it "twice calls twice, in the order of subscription" do
      seen = []
      2.times { |number| events.subscribe("incident.closed") { seen << number } }
      events.carry(notice("incident.closed"))
      expect(seen).to eq([0, 1])
    end

    it "inside a subscriber hangs nobody, and is served from the next event on" do
      seen = []
      events.subscribe("incident.opened") { events.subscribe("incident.opened") { seen << :inner } }
      2.times { events.carry(notice("incident.opened")) }
      expect(seen).to eq([:inner])
    end

    it "from many threads at once loses none" do
      seen = Queue.new
      Array.new(10) { Thread.new { 20.times { events.subscribe("incident.opened") { seen << 1 } } } }.each(&:join)
      events.carry(notice("incident.opened"))
      expect(seen.size).to eq(200)
    end
  end

  describe "a subscriber that raises" do
    [StandardError, NotImplementedError, Class.new(Exception), SystemExit].each do |error| # rubocop:disable Lint/InheritException
      it "is logged, and the others are called (#{error.superclass})" do
        seen = []
        events.subscribe("connection.evicted") { raise error, "the subscriber's" }
        events.subscribe("connection.evicted") { |event| seen << event.id }

        expect { events.carry(notice("connection.evicted")) }.not_to raise_error
        expect(seen).to eq(["connection.evicted"])
        expect(log_text).to match(/a subscriber of connection\.evicted raised .*the subscriber's/)
      end
    end

    it "or changes the payload spoils it for nobody else" do
      seen = []
      events.subscribe("connection.evicted") { |event| event.payload.clear }
      events.subscribe("connection.evicted") { |event| seen << event[:owner] }
      events.carry(notice("connection.evicted"))
      expect(seen).to eq([7])
    end
  end

  describe "an event" do
    it "has the documented keys, and nil for what is not known" do
      event = nil
      events.subscribe("connection.leaked") { |one| event = one }
      events.carry(notice)

      expect(event.id).to eq("connection.leaked")
      expect(event.payload.keys)
        .to match_array(%i[pool role shard host topic partition owner seconds count reason mode stack])
      expect(event.payload).to include(pool: nil, topic: "orders", partition: 3, owner: 7, seconds: 0.25, mode: :act)
      expect(event[:topic]).to eq("orders")
    end

    it "raises KeyError for a key that no event has: a typo shall not pass for nil" do
      event = nil
      events.subscribe("connection.leaked") { |one| event = one }
      events.carry(notice)
      expect { event[:topics] }.to raise_error(KeyError)
      expect { event["topic"] }.to raise_error(KeyError)
    end

    it "is written to the log with what is known of it, and with its level" do
      names.each { |name| events.carry(notice(name)) }
      lines = log_text.lines
      expect(lines.size).to eq(names.size)
      expect(lines).to all(include("[poolkeeper]").and(include("topic=orders partition=3")))
      expect(lines.join).not_to include("reason=")
      expect(lines.grep(/incident opened/)).to all(match(/ERROR/))
      expect(lines.grep(/left open/)).to contain_exactly(match(/WARN/))
    end

    it "is one line of the log with a stack too: the first frames, of the application where there are any" do
      frames = ["/gems/active_record/a.rb:1:in `a'", "/app/b.rb:2:in `b'", "/app/c.rb:3", "/app/d.rb:4", "/app/e.rb:5"]
      events.carry(notice(stack: frames))
      events.carry(notice(stack: frames.first(1)))
      expect(log_text.lines.map { |line| line[/stack=(.*)\)/, 1] })
        .to eq(["/app/b.rb:2:in `b' < /app/c.rb:3 < /app/d.rb:4", "/gems/active_record/a.rb:1:in `a'"])
    end
  end

  describe "on their way to subscribers", :database do
    # Those of the examples here must not live on, and there is no way to unsubscribe.
    around do |example|
      before = Poolkeeper.events.instance_variable_get(:@subscribers).dup
      example.run
    ensure
      Poolkeeper.events.instance_variable_set(:@subscribers, before)
    end

    it "are carried by the poolkeeper thread and never by the job's" do
      seen = Queue.new
      Poolkeeper.events.subscribe("connection.leaked") { seen << Thread.current }
      job = Thread.new do
        hold.begin_transaction
        Poolkeeper.release
        Thread.current
      end
      expect(seen.pop).to have_attributes(name: "poolkeeper").and(satisfy { |thread| !thread.equal?(job.value) })
    end

    it "wait for a subscriber that is slow, and the job does not" do
      go = Queue.new
      seen = Queue.new
      Poolkeeper.events.subscribe("connection.leaked") { |event| go.pop && (seen << event[:partition]) }
      released = on_thread do
        Array.new(3) do |partition|
          Poolkeeper::Mirror._job(Thread.current.object_id, "orders", partition)
          hold.begin_transaction
          Poolkeeper.release
        end
      end
      expect(released).to eq([1, 1, 1])
      expect(seen).to be_empty
      3.times { go << true }
      expect(Array.new(3) { seen.pop }).to eq([0, 1, 2])
    end

    it "go on where a subscriber raised or ended its thread" do
      seen = Queue.new
      Poolkeeper.events.subscribe("connection.leaked") { |event| (event[:partition] == 1) && Thread.current.kill }
      Poolkeeper.events.subscribe("connection.leaked") { |event| (event[:partition] == 2) && raise("the subscriber's") }
      # Those of an example before have none.
      Poolkeeper.events.subscribe("connection.leaked") { |event| event[:partition] && (seen << event[:partition]) }
      on_thread do
        [1, 2, 3].each do |partition|
          Poolkeeper::Mirror._job(Thread.current.object_id, "orders", partition)
          hold.begin_transaction
          Poolkeeper.release
          wait_until { counts[:leaked] == partition }
        end
        # The thread that carries was ended by the first; whoever needs it starts another.
        wait_until { seen.size >= 2 || (hold && Poolkeeper.release && false) }
      end
      expect(Array.new(2) { seen.pop }).to eq([2, 3])
      expect_log(/raised RuntimeError: the subscriber's/)
    end
  end
end
