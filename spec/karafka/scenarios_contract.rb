# frozen_string_literal: true

require_relative "../support/karafka_worker"

# What poolkeeper relies on in the life of a Karafka process: which events come on which threads in which order, and
# what a raising subscriber costs. The orders were recorded from Karafka 2.6.1 consuming from a broker.
#
# Needs `build`, a Proc that returns a monitor.
RSpec.shared_examples "karafka's scenarios" do
  let(:monitor) { build.call }
  let(:scenarios) { Support::KarafkaScenarios }
  let(:seen) { Queue.new }

  # [name, thread's name, payload] of every event that has been sent so far.
  def log
    Array.new(seen.size) { seen.pop }
  end

  def names(entries = log)
    entries.map(&:first)
  end

  def record(*names)
    (names.empty? ? monitor.notifications_bus.available_events : names).each do |name|
      monitor.subscribe(name) { |event| seen << [name, Thread.current.name, event.payload] }
    end
  end

  def on_worker(entries = log)
    entries.select { |_, thread, _| thread.to_s.start_with?("karafka.worker#") }
  end

  it "sends a job's events on its worker, worker.completed last" do
    record
    ran_on = nil
    job = scenarios.successful_job(monitor, partition: 3) { ran_on = Thread.current.name }
    events = on_worker
    done = events.find { |name, _, payload| name == "worker.completed" && payload[:job] }

    expect(names(events)).to eq(
      %w[consumer.wrap worker.process consumer.consume consumer.consumed worker.processed consumer.wrapped
         worker.completed worker.completed]
    )
    expect(events.map { |_, thread, _| thread }.uniq).to eq([ran_on]).and eq(["karafka.worker#0"])
    expect(done.last.keys).to eq(%i[caller job jobs_queue])
    expect([job.executor.topic.name, job.executor.partition, job.class.action]).to eq(["orders", 3, :consume])
  end

  it "frees the partition before it sends worker.completed" do
    state = nil
    monitor.subscribe("worker.completed") do |event|
      job = event.payload[:job]
      state = [job.finished?, event[:jobs_queue].empty?(job.group_id)] if job
    end
    scenarios.successful_job(monitor) { nil }

    expect(state).to eq([true, true])
  end

  it "reports a failing job, pauses its partition and completes the job" do
    record
    error = NotImplementedError.new("not even a StandardError")
    scenarios.failing_job(monitor, error)
    events = on_worker
    reports = events.select { |name, _, _| name == "error.occurred" }.map(&:last)

    expect(names(events)[0..-2]).to eq(
      %w[consumer.wrap worker.process consumer.consume error.occurred client.pause consumer.consuming.pause
         consumer.consuming.retry worker.processed consumer.wrapped worker.completed]
    )
    expect(reports.map { |payload| payload[:type] }).to eq(["consumer.consume.error"])
    expect(reports.first[:error]).to equal(error)
  end

  it "sends worker.completed with a nil job when a worker leaves, and with a nil payload when it is killed" do
    record("worker.completed")

    scenarios.worker_exit(monitor)
    expect(log.map(&:last)).to match([include(job: nil)])

    scenarios.killed_worker(monitor)
    expect(log).to eq([["worker.completed", "karafka.worker#0", nil]])
  end

  it "wraps only the call of the job in the call wrapper" do
    record("worker.process", "worker.processed", "worker.completed", "error.occurred")
    wrapper = Object.new
    queue = seen
    wrapper.define_singleton_method(:wrap) do |&call|
      queue << ["in"]
      call.call.tap { queue << ["out"] }
    end
    scenarios.failing_job(monitor, job_call_wrapper: wrapper) { queue << ["work"] }

    expect(names.first(7)).to eq(%w[worker.process in work error.occurred out worker.processed worker.completed])
  end

  describe "a subscriber that raises" do
    it "in error.occurred makes one failure three, and ends the worker" do
      record("error.occurred", "worker.completed")
      monitor.subscribe("error.occurred") { |event| raise "subscriber of #{event[:type]}" }

      cause = scenarios.error_chain(monitor)

      expect(log.map { |_, _, payload| payload[:type] }).to eq(
        ["consumer.consume.error", "consumer.wrap.error", "worker.process.error", nil]
      )
      expect(cause.message).to eq("subscriber of worker.process.error")
    end

    it "in error.occurred once, costs the batch its pause and its retry" do
      record("consumer.consuming.pause", "worker.processed", "worker.completed")
      monitor.subscribe("error.occurred") { |event| raise "once" if event[:type] == "consumer.consume.error" }

      scenarios.failing_job(monitor)

      expect(names).to eq(%w[worker.completed worker.completed])
    end

    it "in worker.completed ends the worker and stops the process, without app.stopped" do
      record("error.occurred", "app.stopping", "app.stopped")
      monitor.subscribe("worker.completed") { |event| raise "completed" if event.payload[:job] }
      partition = Support::KarafkaPartition.new("orders", 0, [1])
      server = Support::KarafkaServer.new(monitor, Support::KarafkaConsumer.running { nil }, [partition])

      expect { server.run }.to raise_error(RuntimeError, "completed")
      expect(log.map { |name, _, payload| payload[:type] || name }).to eq(["runner.call.error", "app.stopping"])
    end

    it "in fetch_loop keeps the listener from consuming until it no longer raises" do
      record("error.occurred")
      failures = 2
      monitor.subscribe("connection.listener.fetch_loop") { raise "fetch" if (failures -= 1) >= 0 }
      partition = Support::KarafkaPartition.new("orders", 0, [1])
      consumer = Support::KarafkaConsumer.running { nil }
      server = Support::KarafkaServer.new(monitor, consumer, [partition], backoff: 0.01).start

      expect(server.wait_until_consumed(5)).to be(true)
      server.stop
      expect(log.map { |_, _, payload| payload[:type] }).to eq(["connection.listener.fetch_loop.error"] * 2)
    end
  end

  it "holds a mutex that is not reentrant while it sends app.*" do
    record("app.running", "app.stopping", "app.stopped", "app.terminated")
    errors = []
    monitor.subscribe("app.running") do |event|
      event[:caller].stop
    rescue ThreadError => e
      errors << e
    end
    scenarios.application_states(monitor)

    expect(names).to eq(%w[app.running app.stopping app.stopped app.terminated])
    expect(errors.size).to eq(1)
  end

  it "sends fetch_loop, events_poll and after_fetch_loop on the listener's thread" do
    record
    threads = scenarios.fetch_loop(monitor, turns: 2) { Thread.current.name }
    events = log

    expect(names(events)).to eq(
      %w[connection.listener.fetch_loop client.events_poll] * 2 + %w[connection.listener.after_fetch_loop]
    )
    expect(events.map { |_, thread, _| thread }.uniq).to eq(threads.uniq).and eq(["karafka.listener#orders_0"])
  end

  it "sends before_fork in the parent and after_fork in each child, again and again" do
    record
    statuses = scenarios.forks(monitor, rounds: 2) { names.last == "swarm.node.after_fork" }

    expect(statuses.map(&:exitstatus)).to eq([0, 0])
    expect(names).to eq(%w[swarm.manager.before_fork swarm.manager.after_fork] * 2)
  end

  describe "a whole process" do
    let(:payloads) { Array.new(25) { |index| index } }
    let(:partitions) { Array.new(8) { |number| Support::KarafkaPartition.new("orders", number, payloads) } }
    let(:consumed) { Queue.new }

    def run(**options, &consume)
      consumer = Support::KarafkaConsumer.running(&consume)
      server = Support::KarafkaServer.new(monitor, consumer, partitions, pause: 0.1, **options).start
      @all = server.wait_until_consumed(10)
    ensure
      server&.stop
    end

    def offsets(number)
      @offsets ||= Array.new(consumed.size) { consumed.pop }
      @offsets.select { |partition, _| partition == number }.map(&:last)
    end

    it "delivers each partition in order, to as many workers as there are, a failed batch again and whole" do
      record("worker.process", "client.resume")
      failed = false
      came = {}
      run do |consumer|
        consumer.messages.each do |message|
          consumed << [message.partition, message.offset]
          next if failed || message.partition != 2 || message.offset != 13

          failed = true
          raise "offset 13"
        end
        # Eight jobs are there at once: none ends before all five workers have come.
        came[Thread.current] = true
        wait_until { came.size >= 5 }
      end
      events = log
      workers = on_worker(events).map { |_, thread, _| thread }.uniq

      expect(@all).to be(true)
      expect(offsets(0)).to eq((0..24).to_a)
      expect(offsets(2)).to eq((0..13).to_a + (10..24).to_a)
      expect(partitions[2].redelivered).to eq(10)
      expect(workers).to match_array((0..4).map { |number| "karafka.worker##{number}" })
      expect(names(events).count("client.resume")).to eq(1)
    end

    it "pauses only the partition that failed: its worker goes on with the others" do
      failed = nil
      others = Queue.new
      run(concurrency: 1, pause: 0.3) do |consumer|
        if consumer.partition.zero? && !failed
          failed = Process.clock_gettime(Process::CLOCK_MONOTONIC)
          raise "first"
        end
        others << [consumer.partition, Process.clock_gettime(Process::CLOCK_MONOTONIC)] if failed
      end
      times = Array.new(others.size) { others.pop }
      again, rest = times.partition { |number, _| number.zero? }

      expect(again.first.last - failed).to be >= 0.3
      expect(rest.map(&:last).min).to be < again.first.last
    end

    it "passes over a failed batch when a subscriber raised in its error.occurred" do
      monitor.subscribe("error.occurred") { |event| raise "subscriber" if event[:type] == "consumer.consume.error" }
      run do |consumer|
        raise "lost" if consumer.partition.zero? && consumer.messages.first.offset.zero?

        consumer.messages.each { |message| consumed << [message.partition, message.offset] }
      end

      expect(offsets(0)).to eq((10..24).to_a)
      expect(partitions[0].seek_offset).to eq(25)
    end

    it "runs what is scheduled on the listener's thread, and says so once in a turn and at the end" do
      record
      run { nil }
      events = log
      listener = events.select { |_, thread, _| thread == "karafka.listener#orders_0" }
      order = names(listener) - %w[client.events_poll]

      expect(order.first(5)).to eq(
        %w[connection.listener.before_fetch_loop connection.listener.running connection.listener.fetch_loop
           connection.listener.fetch_loop.received consumer.initialize]
      )
      expect(order.last(4)).to eq(
        %w[consumer.before_schedule_shutdown connection.listener.quiet connection.listener.stopped
           connection.listener.after_fetch_loop]
      )
      expect(names(listener).each_cons(2)).to include(%w[connection.listener.fetch_loop client.events_poll])
      expect(names(events).select { |name| name.start_with?("app.") })
        .to eq(%w[app.running app.stopping app.stopped app.terminated])
      expect(events.count { |name, _, payload| name == "worker.completed" && payload[:job].nil? }).to eq(5)
    end

    it "kills who works too long, and still sends worker.completed and app.stopped" do
      record("worker.completed", "app.stopped", "error.occurred")
      blocked = Queue.new
      consumer = Support::KarafkaConsumer.running { blocked << sleep }
      server = Support::KarafkaServer.new(monitor, consumer, partitions.first(1), concurrency: 1).start
      sleep(0.01) until server.workers.queue.waiting.zero? && !server.workers.queue.empty?("orders_0")
      server.stop(0.1)

      expect(log.map { |name, _, payload| payload[:type] || name })
        .to contain_exactly("app.stopping.error", "worker.completed", "app.stopped")
    end
  end
end
