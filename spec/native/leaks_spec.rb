# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Leak reports of native pools", :forks, :native, :once, only: :postgresql do
  around do |example|
    before = Poolkeeper.events.instance_variable_get(:@subscribers).dup
    Poolkeeper.events.subscribe("connection.leaked") { |event| told << event }
    example.run
  ensure
    Poolkeeper.events.instance_variable_set(:@subscribers, before)
  end

  let(:told) { [] }

  def told_of(owner)
    told.select { |event| event[:owner] == owner.object_id }
  end

  def report_of(owner)
    wait_until(message: "a report of the lease of #{owner.object_id}") { told_of(owner).first }
  end

  def stacks(pool)
    pool.instance_variable_get(:@stacks)
  end

  def borrow_somewhere(pool)
    pool.lease
  end

  it "say who has a connection and where he took it, once, and leave it to him" do
    pool = pool(leak_threshold: 0.05)
    leased = borrow_somewhere(pool)
    own = pid(leased)
    event = report_of(Thread.current)
    expect(event.payload).to include(pool: pool.name, reason: "held for longer than leak_threshold",
                                     host: "127.0.0.1:#{server.port}")
    expect(event[:seconds]).to be > 0.04
    expect(event[:stack].first).to match(/leaks_spec\.rb:\d+:in .*borrow_somewhere/)
    expect_log(/a connection was not given back .*stack=\S*leaks_spec\.rb/)
    # A lease of another owner, which is due later: the first is not told with it.
    other = Thread.new { pool.with { |db| (db.query("SELECT 1") && door.pop) || pid(db) } }
    expect(report_of(other)[:stack].first).to match(/leaks_spec/)
    expect(told_of(Thread.current)).to eq([event])
    expect(pid(leased)).to eq(own)
    door.close
    other.join
    expect(pool.release).to be(true)
    expect(Poolkeeper.stats[pool.name]).to include(leaked: 2, evicted: 0, dropped: 0)
  end

  let(:door) { Queue.new }

  it "say that an owner has ended, whose connection stays until somebody waits for it" do
    pool = pool(size: 1, leak_threshold: 0.2)
    ended = Thread.new { pool.lease && Thread.current }.value
    expect(report_of(ended)[:reason]).to eq("held for longer than leak_threshold, by an owner that has ended")
    expect(pool.stats[:leased]).to eq(1)
    expect(pool.with { |db| pid(db) }).to be_positive
    expect(stacks(pool)).to be_empty
  end

  it "say nothing of a lease that is given back in time" do
    pool = pool(leak_threshold: 1.5)
    ends = Support.now + 2.5
    held = Thread.new { pool.lease && report_of(Thread.current) && pool.release }
    (pool.lease.query("SELECT pg_sleep(0.05)") && pool.release) while Support.now < ends
    expect(held.value).to be(true)
    expect(told_of(Thread.current)).to eq([])
  end

  it "keep no stack of a lease that is over, whichever way it ended" do
    pool = pool(size: 1, leak_threshold: 60)
    held = -> { stacks(pool).size }
    expect([pool.lease && held.call, pool.release && held.call]).to eq([1, 0])
    expect([pool.with { held.call }, held.call]).to eq([1, 0])
    expect([pool.lease && held.call, Poolkeeper.release && held.call]).to eq([1, 0])
    expect([pool.with { Poolkeeper.release && pool.release || held.call }, held.call]).to eq([1, 0])
    error_of { pool.with { raise "the application's" } }
    expect(held.call).to eq(0)
    sleeper = Thread.new { pool.with { sleep } }
    wait_until { held.call == 1 && sleeper.stop? }
    sleeper.kill.join
    expect(held.call).to eq(0)
    Thread.new { pool.lease }.join
    expect([held.call, pool.with { held.call }, held.call]).to eq([1, 1, 0])
    waiter = holding(pool) { Thread.new { pool.with { held.call } }.tap { wait_until { pool.stats[:waiting] == 1 } } }
    expect([waiter.value, held.call]).to eq([1, 0])
  end

  it "keep the stack of whoever was first, within its own lease" do
    pool = pool(leak_threshold: 60)
    borrow_somewhere(pool)
    first = stacks(pool).values.fetch(0)
    expect(pool.with { pool.lease } && stacks(pool).values).to eq([first])
    pool.release
    pool.lease
    expect(stacks(pool).values.fetch(0)).not_to equal(first)
  end

  it "follow the threshold of the configuration, unless the pool has its own" do
    Poolkeeper.configure { |config| config.leak_threshold = 60 }
    expect([{}, { leak_threshold: 1 }, { leak_threshold: false }].map { |own| pool(**own).stacks? })
      .to eq([true, true, false])
    Poolkeeper.configure { |config| config.leak_threshold = nil }
    expect(pool.stacks?).to be(false)
  end

  it "take no stack where they are off: a lease allocates nothing" do
    pool = pool()
    pair = -> { pool.lease && pool.release }
    3.times { pair.call }
    calls = 0
    TracePoint.new(:c_call) { |call| calls += 1 if call.method_id.match?(/caller|backtrace/) }.enable { pair.call }
    expect(calls).to eq(0)
    before = GC.stat(:total_allocated_objects)
    pair.call
    expect(GC.stat(:total_allocated_objects) - before).to be <= 1
  end

  it "begin anew in a forked child" do
    pool = pool(leak_threshold: 0.1)
    borrow_somewhere(pool)
    said = forked do
      own = Queue.new
      Poolkeeper.events.subscribe("connection.leaked") { |event| own << event[:stack].first }
      before = stacks(pool).size
      pool.lease
      [before, own.pop[/:in .*(block|borrow_somewhere)/, 1], pool.release]
    end
    expect(said).to eq([0, "block", true])
  end
end
