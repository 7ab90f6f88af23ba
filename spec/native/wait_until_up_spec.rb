# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Poolkeeper.wait_until_up, with native pools", :native, :once, only: :postgresql do
  # One example's incident is not the next one's: a connection opened after it ends it.
  after do
    server.thaw
    server.start unless server.running?
    server.read_only!(false)
    wait_until do
      error_of { pool(size: 1).with(&:ping) }
      Poolkeeper.wait_until_up(timeout: 1, role: :writing)
    end
  end

  before { @threads = Thread.list }

  def expect_nothing_held(pool)
    expect(pool.stats).to include(leased: 0, waiting: 0)
    wait_until { (Thread.list - @threads).all? { |thread| thread.name == "poolkeeper" } }
  end

  it "is false at its timeout while the server is down, and true within a second of its start" do
    pool = pool(size: 2)
    warm(pool, 2)
    stop
    error_of { pool.with(&:ping) }
    expect(timed { Poolkeeper.wait_until_up(timeout: 0.5) }).to match([false, be_between(0.5, 1.5)])
    waiting = Array.new(5) { Thread.new { Poolkeeper.wait_until_up(timeout: 30, role: :writing) } }
    server.start
    answers, seconds = timed { waiting.map(&:value) }
    expect(answers).to eq([true] * 5)
    expect(seconds).to be < 2
    expect(Poolkeeper.healthy?).to be(true)
    expect_nothing_held(pool)
  end

  it "does not take a server for up that answers and refuses writes, where somebody wants to write" do
    server.sql("CREATE TABLE IF NOT EXISTS writes (number int)")
    pool = pool(size: 2)
    warm(pool, 2)
    server.read_only!(true)
    error_of { pool.with { |db| db.execute("INSERT INTO writes VALUES (1)") } }
    said = server.log_since do
      callers = Array.new(5) { Thread.new { Poolkeeper.wait_until_up(timeout: 2, role: :writing) } }
      expect(callers.map(&:value)).to eq([false] * 5)
    end
    expect(said.scan("connection received").size).to be_between(3, 7)
    expect(Poolkeeper.wait_until_up(timeout: 3)).to be(true)
    expect(Poolkeeper.wait_until_up(timeout: 0.2, role: :writing)).to be(false)
    server.read_only!(false)
    expect(Poolkeeper.wait_until_up(timeout: 5, role: :writing)).to be(true)
    expect(pool.with { |db| db.execute("INSERT INTO writes VALUES (1)") }).to eq(1)
    expect_nothing_held(pool)
  end

  it "finds out though its caller holds a connection that broke" do
    pool = pool(size: 2)
    pool.with do |db|
      server.terminate(pid(db))
      error_of { db.query("SELECT 1") }
      expect(Poolkeeper.healthy?).to be(false)
      expect(Poolkeeper.wait_until_up(timeout: 5)).to be(true)
    end
    expect_nothing_held(pool)
  end

  it "is ended by an interrupt while its attempt waits, and by its timeout where the server is silent" do
    pool = pool(size: 1)
    pool.with { |db| server.terminate(pid(db)) && error_of { db.query("SELECT 1") } }
    server.freeze
    expect(timed { Poolkeeper.wait_until_up(timeout: 0.5, role: :writing) }).to match([false, be < 1.5])
    expect { Timeout.timeout(0.3) { Poolkeeper.wait_until_up(timeout: 30) } }.to raise_error(Timeout::Error)
    server.thaw
    expect(Poolkeeper.wait_until_up(timeout: 10, role: :writing)).to be(true)
    expect_nothing_held(pool)
  end
end
