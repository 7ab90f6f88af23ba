# frozen_string_literal: true

require "spec_helper"

RSpec.describe Poolkeeper::Pool, :native, :once, only: :postgresql do
  it "opens one connection for one owner, and the same one for whoever asks again" do
    pool = pool()
    pids = pool.with { |db| [pid(db), pool.with { |again| pid(again) }, pid(pool.lease)] }
    expect(pids.uniq.size).to eq(1)
    expect(sessions.map(&:pid)).to eq([pids.first])
  end

  it "gives each thread its own, the one that came back last first" do
    pool = pool()
    expect(warm(pool, 3).uniq.size).to eq(3)
    last = pool.with { |db| pid(db) }
    expect(Array.new(5) { pool.with { |db| pid(db) } }.uniq).to eq([last])
    expect(sessions.size).to eq(3)
  end

  it "keeps a lease until it is released, and a block within it leaves it" do
    pool = pool()
    leased = pool.lease
    pool.with { |db| expect(db).to equal(leased) }
    expect(pool.stats[:leased]).to eq(1)
    expect([pool.release, pool.release]).to eq([true, false])
    expect(pool.stats).to include(leased: 0, idle: 1)
  end

  it "leaves to a running block what it has, whoever releases" do
    pool = pool()
    pool.with do |db|
      expect([pool.release, Poolkeeper.release]).to eq([false, 0])
      expect(pid(db)).to be_positive
    end
    expect(pool.stats).to include(leased: 0, idle: 1)
  end

  it "hands no open transaction on, and says that one was left" do
    server.sql("DROP TABLE IF EXISTS left_open; CREATE TABLE left_open (number int)")
    pool = pool(size: 1)
    pool.with do |db|
      db.execute("BEGIN")
      db.execute("INSERT INTO left_open VALUES (1)")
    end
    pool.with { |db| db.execute("INSERT INTO left_open VALUES (2)") }
    expect(server.sql("SELECT number FROM left_open")).to eq([["2"]])
    expect(sessions(state: /transaction/)).to eq([])
    expect_log(/a transaction was left open \(pool=default/)
  end

  it "is released with everything else" do
    first = pool(name: :first)
    second = pool(name: :second)
    [first, second].each(&:lease)
    expect([Poolkeeper.release, Poolkeeper.release]).to eq([2, 0])
    expect([first, second].map { |pool| pool.stats[:idle] }).to eq([1, 1])
  end

  it "never opens more than its size, and serves in order whoever waits" do
    pool = pool(size: 1)
    served = Queue.new
    waiters = []
    holding(pool) do
      5.times do |number|
        waiters << Thread.new { pool.with { |db| served << [number, pid(db)] } }
        wait_until { pool.stats[:waiting] == number + 1 }
      end
    end
    waiters.each(&:join)
    order = Array.new(5) { served.pop }
    expect(order.map(&:first)).to eq([0, 1, 2, 3, 4])
    expect(order.map(&:last).uniq.size).to eq(1)
    expect(sessions.size).to eq(1)
  end

  it "says in time that none came free, who holds what, and since when" do
    pool = pool(size: 1)
    holding(pool, name: "the holder") do
      error, seconds = timed { error_of { pool.with(timeout: 0.2) { nil } } }
      expect(error).to be_a(Poolkeeper::TimeoutError)
      expect(error).to have_attributes(step: :wait, pool: pool.name)
      expect(error.message).to match(/within 0.2 s.*1 of 1 leased.*held by the holder for \d+\.\d s/)
      expect(seconds).to be_between(0.2, 1.5)
      expect(pool.stats).to include(waiting: 0, leased: 1)
    end
    expect(pool.with { |db| pid(db) }).to be_positive
  end

  it "takes from the dead what they hold before anybody times out" do
    pool = pool(size: 2)
    together = Queue.new
    threads = Array.new(2) { Thread.new { pool.lease && together.pop } }
    wait_until { together.num_waiting == 2 }
    2.times { together << true }
    threads.each(&:join)
    expect(pool.stats[:leased]).to eq(2)
    expect(pool.with(timeout: 5) { |db| pid(db) }).to be_positive
    expect(pool.stats).to include(leased: 0, idle: 2)
  end

  it "takes nothing from the living, however long they sleep" do
    pool = pool(size: 1)
    holding(pool) do |db|
      expect(error_of { pool.with(timeout: 0.1) { nil } }).to be_a(Poolkeeper::TimeoutError)
      expect(pool.stats[:leases].size).to eq(1)
      expect(db).to be_a(Poolkeeper::Connection)
    end
  end

  it "takes back in a finaliser what is held" do
    pool = pool(size: 1)
    pool.lease
    said = Queue.new
    # Several, for a stack may seem to refer to the last.
    10.times { ObjectSpace.define_finalizer(Object.new, proc { said << Poolkeeper.release }) }
    wait_until { GC.start || !said.empty? }
    expect(said.pop).to eq(1)
    expect(pool.stats).to include(leased: 0, idle: 1)
  end

  it "hands over beside a thread that never leaves the CPU as soon as Ruby lets anybody in" do
    pool = pool(size: 1)
    pool.with(&:ping)
    hog = Thread.new { loop { nil } }
    seconds = Array.new(7) do
      pool.lease
      waiter = Thread.new { pool.with { Support.now } }
      wait_until { pool.stats[:waiting] == 1 }
      released = Support.now
      pool.release
      waiter.value - released
    end
    # Ruby's time slice is 0.1 s; the one that releases may have a part of its own left.
    expect(seconds.sort[3]).to be < 0.3
  ensure
    hog.kill.join
  end

  it "refuses a connection that is not held here, and says why" do
    pool = pool()
    kept = pool.with { |db| db }
    not_held = [Poolkeeper::NotHeldError, /given back, belongs to another thread or fiber, or was taken before a fork/]
    expect { kept.query("SELECT 1") }.to raise_error(*not_held)
    holding(pool) { |db| expect { db.query("SELECT 1") }.to raise_error(*not_held) }
    expect { kept.transaction { nil } }.to raise_error(*not_held)
    expect(sessions.size).to eq(1)
  end

  it "keeps so many open as it is to, though nobody has asked yet" do
    pool = pool(min: 2)
    await_sessions(2)
    server.terminate(:all)
    await_sessions(2)
    expect(pool.stats).to include(leased: 0)
  end

  it "closes what is idle for too long, down to its minimum" do
    pool = pool(min: 1, idle_timeout: 0.2)
    warm(pool, 3)
    await_sessions(1)
  end

  it "replaces what is too old" do
    pool = pool(max_lifetime: 0.3)
    before = pool.with { |db| pid(db) }
    await_sessions(0)
    expect(pool.with { |db| pid(db) }).not_to eq(before)
  end

  it "replaces what is too old where it is never idle for long" do
    pool = pool(max_lifetime: 0.3)
    before = pid(pool.lease)
    # What it is waited for is its age.
    sleep(0.35)
    pool.release
    expect(pid(pool.lease)).not_to eq(before)
  end

  it "asks what was idle for a sign of life before its first statement, and nothing else" do
    pool = pool(check_idle_after: 0.05)
    before = pool.with { |db| pid(db) }
    sleep(0.1) # the time that the option is about
    server.freeze_backend(before)
    (after, seconds) = timed { pool.with { |db| pid(db) } }
    expect(after).not_to eq(before)
    expect(seconds).to be < 3
  ensure
    server.thaw_backend(before) if before
  end

  it "reloads: idle connections are replaced now, leased ones when they come back" do
    pool = pool()
    warm(pool, 3)
    leased = pool.lease
    kept = pid(leased)
    expect(pool.reload).to eq(2)
    await_sessions(1)
    expect(pid(leased)).to eq(kept)
    pool.release
    await_sessions(0)
    expect(pool.with { |db| pid(db) }).not_to eq(kept)
  end

  it "closes: whoever waits is told, what is leased goes when it comes back, and nothing is lent any more" do
    pool = pool(size: 1)
    closed = Poolkeeper::PoolClosedError
    holding(pool) do
      waiter = Thread.new { error_of { pool.with { nil } } }
      wait_until { pool.stats[:waiting] == 1 }
      error = error_of { pool.close(timeout: 0.1) }
      expect(error).to have_attributes(class: Poolkeeper::TimeoutError, step: :drain)
      expect(waiter.value).to be_a(closed)
    end
    await_sessions(0)
    expect(pool.close).to be(true)
    expect { pool.with { nil } }.to raise_error(closed, /is closed/)
    expect { pool.lease }.to raise_error(closed)
  end

  it "follows the number of Karafka's workers, unless its size was given" do
    own = pool(size: nil)
    given = pool(size: 2)
    event = Struct.new(:payload).new({ from: 0, to: 7 })
    Poolkeeper::KarafkaListener.new.on_worker_scaling_up(event)
    expect([own, given].map { |pool| pool.stats[:size] }).to eq([8, 2])
    expect(warm(own, 8).uniq.size).to eq(8)
    Poolkeeper::KarafkaListener.new.on_worker_scaling_up(Struct.new(:payload).new(nil))
    expect(own.stats[:size]).to eq(8)
  end

  it "is known by its name, proven with the others, and counted beside them" do
    Poolkeeper.configure { |config| config.pool(:events, server.url, size: 2, application_name: "a spec") }
    pool = Poolkeeper[:events]
    expect(Poolkeeper[:events].with { |db| db.query("SELECT 1 AS one") }).to eq([{ one: 1 }])
    expect(Poolkeeper.verify!(pool).pools).to eq(["events"])
    leased = pool.lease
    expect(Poolkeeper.stats["events"]).to include(size: 2, leased: 1, idle: 0, waiting: 0, evicted: 0)
    expect(leased.inspect + pool.inspect).not_to include("@")
  ensure
    pool&.release
    pool&.close
  end

  it "closes idle connections when Karafka stops, and opens them again for whoever lives on" do
    pool = pool()
    warm(pool, 2)
    Poolkeeper::KarafkaListener.new.on_app_stopped(nil)
    await_sessions(0)
    expect(pool.with { |db| pid(db) }).to be_positive
  end

  it "opens nothing in advance after that, whatever it is to keep open, until somebody asks" do
    pool = pool(min: 1)
    await_sessions(1)
    Poolkeeper::KarafkaListener.new.on_app_stopped(nil)
    await_sessions(0)
    # For as long as the pool needs to look after itself.
    sleep(1.2)
    expect(sessions).to eq([])
    pool.with(&:ping)
    await_sessions(1)
  end

  it "keeps nothing after that which was out when Karafka stopped" do
    pool = pool()
    pid(pool.lease)
    Poolkeeper::KarafkaListener.new.on_app_stopped(nil)
    expect(sessions.size).to eq(1)
    pool.release
    await_sessions(0)
    expect(pool.with { |db| pid(db) }).to be_positive
  end

  it "reports a lease that is older than it is to be, once" do
    pool = pool(leak_threshold: 0.1)
    pool.lease
    expect_log(/not given back .*leak_threshold/)
    expect(log_text.scan("leak_threshold").size).to eq(1)
  end
end
