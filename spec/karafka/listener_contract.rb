# frozen_string_literal: true

require "timeout"
require_relative "../support/karafka_worker"
require_relative "../support/karafka/bad_events"

# What Karafka asks of any subscriber, and what it must never do: one error that escapes kills a worker and can hang
# the process. Nothing here looks at a database.
#
# Needs `listener` and `monitor`. Takes the events that the listener handles.
RSpec.shared_examples "a subscriber of karafka's monitor" do |handled = %w[
  worker.process worker.completed error.occurred connection.listener.fetch_loop
  connection.listener.after_fetch_loop client.events_poll swarm.manager.before_fork swarm.node.after_fork
  worker.scaling.up app.stopped
]|
  handlers = handled.to_h { |name| [name, :"on_#{name.tr(".", "_")}"] }

  let(:reports) { Queue.new }
  let(:scenarios) { Support::KarafkaScenarios }

  # Every error that Karafka reports, in order. The subscriber under test comes after it, so that none is missed.
  def types
    Array.new(reports.size) { reports.pop[:type] }
  end

  # A handler that hangs, in a loop of causes for one, shall fail and not hold up the suite.
  around { |example| Timeout.timeout(30) { example.run } }

  before { monitor.subscribe("error.occurred") { |event| reports << event.payload } }

  it "has exactly the handlers it says, all of them public" do
    expect(listener.public_methods.grep(/\Aon_/)).to match_array(handlers.values)
    expect(listener.private_methods.grep(/\Aon_/) + listener.protected_methods.grep(/\Aon_/)).to be_empty
  end

  it "takes one event in each handler" do
    expect(handlers.values.map { |handler| listener.method(handler).arity }).to all(eq(1).or(be < 0))
  end

  it "is found by the monitor for each of its events" do
    monitor.subscribe(listener)

    expect(monitor.listeners.select { |_, subscribers| subscribers.include?(listener) }.keys).to match_array(handled)
  end

  it "can be subscribed where a version of Karafka lacks its events" do
    handled.each do |missing|
      older = Support::KarafkaMonitor.new(without: [missing])
      older.subscribe(listener)

      (handled - [missing]).each { |name| expect { older.instrument(name, {}) }.not_to raise_error }
      expect(older.listeners.values.flatten.size).to eq(handled.size - 1)
    end
    expect { Support::KarafkaMonitor.new(without: handled).subscribe(listener) }.not_to raise_error
  end

  describe "never raises" do
    Support::KarafkaBadEvents.events.each_key do |wrong|
      it "for #{wrong}" do
        event = Support::KarafkaBadEvents.events.fetch(wrong)

        handlers.each_value { |handler| expect { listener.public_send(handler, event) }.not_to raise_error }
      end
    end

    if handlers.key?("error.occurred")
      Support::KarafkaBadEvents.errors.each_key do |wrong|
        it "for an error that is #{wrong}" do
          error = Support::KarafkaBadEvents.errors.fetch(wrong)

          expect { listener.on_error_occurred(Support::KarafkaBadEvents.error_event(error)) }.not_to raise_error
        end
      end
    end

    it "on a thread that is being killed" do
      outcome = Queue.new
      thread = Thread.new do
        sleep
      ensure
        handlers.each_value do |handler|
          listener.public_send(handler, Support::KarafkaBadEvents::Exotic.new)
          outcome << handler
        end
      end
      sleep(0.001) until thread.stop?
      thread.kill.join(10)

      expect(outcome.size).to eq(handlers.size)
    end

    it "in a fiber" do
      expect { Fiber.new { handlers.each_value { |name| listener.public_send(name, nil) } }.resume }.not_to raise_error
    end
  end

  describe "subscribed, once or twice" do
    [1, 2].each do |times|
      context "#{times} times" do
        before { times.times { monitor.subscribe(listener) } }

        it "changes nothing about a job that succeeds" do
          expect(scenarios.successful_job(monitor) { nil }).to be_finished
          expect(types).to be_empty
        end

        it "leaves a failing job its one report, its pause and its worker" do
          Support::KarafkaBadEvents.errors.each_value.grep(Exception) do |error|
            paused = []
            monitor.subscribe("consumer.consuming.pause") { paused << error }
            Support::KarafkaWorkers.open(monitor, concurrency: 1) do |workers|
              expect(workers.perform { raise error }.join).to be_finished
              expect(workers.perform { nil }.join).to be_finished
              expect(workers.crash).to be_nil
            end
            expect(types).to eq(["consumer.consume.error"])
            expect(paused).not_to be_empty
          end
        end

        it "lets workers leave and be killed" do
          expect { scenarios.worker_exit(monitor) }.not_to raise_error
          expect { scenarios.killed_worker(monitor) }.not_to raise_error
          expect(types).to be_empty
        end

        it "lets a listener thread take its turns and end" do
          expect(scenarios.fetch_loop(monitor, turns: 3) { :turn }).to eq(%i[turn turn turn])
        end

        it "lets a process start and stop, with app.* sent under Karafka's mutex" do
          expect { scenarios.application_states(monitor) }.not_to raise_error
          expect(types).to be_empty
        end

        it "lets a swarm fork again and again" do
          expect(scenarios.forks(monitor, rounds: 3).map(&:exitstatus)).to eq([0, 0, 0])
        end

        it "lets a process consume everything, failed batches too, and end in order" do
          ended = []
          monitor.subscribe("app.stopped") { ended << true }
          tries = Hash.new(0)
          consumer = Support::KarafkaConsumer.running do |running|
            raise "first try" if (tries[running.partition] += 1) == 1 && running.partition.even?
          end
          partitions = Array.new(4) { |number| Support::KarafkaPartition.new("orders", number, Array.new(20)) }
          server = Support::KarafkaServer.new(monitor, consumer, partitions, pause: 0.02).start

          expect(server.wait_until_consumed(20)).to be(true)
          server.stop(5)
          expect(types).to eq(["consumer.consume.error"] * 2)
          expect(ended).to eq([true])
        end
      end
    end
  end
end

# `Poolkeeper.release` and `Poolkeeper.verify` in the block subscriptions that users write themselves.
#
# Needs `monitor`.
RSpec.shared_examples "poolkeeper's primitives in block subscriptions" do
  let(:types) { Queue.new }
  let(:returned) { Queue.new }

  before do
    monitor.subscribe("error.occurred") { |event| types << event.payload[:type] }
    monitor.subscribe("worker.completed") { returned << Poolkeeper.release }
    monitor.subscribe("error.occurred") { |event| Poolkeeper.verify(event[:error]) }
  end

  it "release after jobs, exits and kills, without looking at the event" do
    Support::KarafkaScenarios.successful_job(monitor) { nil }
    Support::KarafkaScenarios.killed_worker(monitor)

    # A job, the worker's exit, and the payload nil.
    expect(Array.new(returned.size) { returned.pop }).to eq([0, 0, 0])
    expect(types).to be_empty
  end

  it "leave a failing job its one report and its worker, whatever the error" do
    errors = Support::KarafkaBadEvents.errors.values.grep(Exception)
    Support::KarafkaWorkers.open(monitor, concurrency: 1) do |workers|
      errors.each { |error| expect(workers.perform { raise error }.join).to be_finished }
      expect(workers.crash).to be_nil
    end

    expect(Array.new(types.size) { types.pop }).to eq(["consumer.consume.error"] * errors.size)
  end

  it "take anything for an error" do
    Support::KarafkaBadEvents.errors.each_value { |error| expect { Poolkeeper.verify(error) }.not_to raise_error }
  end
end
