# frozen_string_literal: true

require "spec_helper"
require_relative "../support/scheduler"

RSpec.describe "A native pool under a fiber scheduler", :native, :once, :scripts, only: :postgresql do
  # Runs fibers on a thread of its own, and answers their values in the order in which they ended.
  def fibers(*works)
    ended = []
    thread = Thread.new do
      Fiber.set_scheduler(Support::Scheduler.new)
      works.each_with_index { |work, number| Fiber.schedule { ended << [number, error_of_value(&work)] } }
    end
    thread.join
    ended
  end

  def error_of_value
    yield
  rescue StandardError => e
    e
  end

  it "lets other fibers go on while one waits for a statement" do
    pool = pool(size: 2)
    warm(pool, 2)
    server.observe do |other|
      other.exec("SELECT pg_advisory_lock(1)")
      slow = -> { pool.with { |db| db.query("SELECT pg_advisory_xact_lock(1)") && :slow } }
      # Lets no other fiber in before this one has ended.
      unlock = -> { other.sync_exec("SELECT pg_advisory_unlock(1)") }
      quick = -> { pool.with { |db| db.query("SELECT 1") } && unlock.call && :quick }
      expect(fibers(slow, quick)).to eq([[1, :quick], [0, :slow]])
    end
  end

  it "gives each fiber a connection of its own, though they are one thread's" do
    pool = pool(size: 3)
    taken = []
    take = lambda do
      pool.with do |db|
        taken << pid(db)
        # Until all have theirs.
        sleep(0.005) until taken.size == 3
        [pid(db), pid(db)].uniq
      end
    end
    ended = fibers(take, take, take).map(&:last)
    expect(ended.map(&:size)).to eq([1, 1, 1])
    expect(ended.flatten.uniq.size).to eq(3)
  end

  it "lets other fibers go on while one waits for a connection, and serves them in order" do
    pool = pool(size: 1)
    order = []
    take = ->(number) { -> { pool.with { |db| order << number && db.query("SELECT pg_sleep(0.02)") } } }
    busy = -> { 20.times { sleep(0.005) } && :busy }
    works = Array.new(5) { |number| take.call(number) }
    ended = fibers(*works, busy)
    expect(order).to eq([0, 1, 2, 3, 4])
    expect(ended.map(&:first)).to include(5)
    expect(ended.map(&:last).grep(StandardError)).to eq([])
  end

  it "takes back what a fiber held that has ended, before anybody times out" do
    pool = pool(size: 1)
    kept = -> { pool.lease && :ended }
    later = -> { sleep(0.05) && pool.with(timeout: 2) { |db| pid(db) } }
    ended = fibers(kept, later).map(&:last)
    expect(ended.first).to eq(:ended)
    expect(ended.last).to be_a(Integer)
  end

  it "is whole after a thread was killed whose fibers wait for it" do
    pool = pool(size: 1)
    thread = Thread.new do
      Fiber.set_scheduler(Support::Scheduler.new)
      Fiber.schedule { pool.with { |db| db.query("SELECT pg_sleep(30)") } }
      Fiber.schedule { pool.with { nil } }
    end
    wait_until { pool.stats[:waiting] == 1 && sessions(state: "active").any? }
    expect(timed { thread.kill.join }.last).to be < 2
    expect(pool.with(timeout: 5) { |db| pid(db) }).to be_positive
    expect(pool.stats).to include(leased: 0, waiting: 0)
  end

  it "says in time that none came free" do
    pool = pool(size: 1)
    holding(pool) do
      ended = fibers(-> { pool.with(timeout: 0.1) { nil } }).map(&:last)
      expect(ended.first).to be_a(Poolkeeper::TimeoutError)
    end
  end

  it "serves the tasks of async: each has a connection of its own, and whoever waits stops no other" do
    said = answers(<<~RUBY, "require 'poolkeeper'", "require 'async'")
      Poolkeeper.config.logger = nil
      pool = Poolkeeper::Pool.new(#{server.url.dump}, size: 2)
      number = ->(db) { db.query("SELECT pg_backend_pid() AS pid").first[:pid] }
      ended = []
      slow = quick = nil
      Async do |task|
        task.async do
          pool.with do |db|
            slow = number.(db)
            db.query("SELECT pg_sleep(0.05)") until ended.include?("stopped")
            ended << "slow"
          end
        end
        3.times { task.async { pool.with { |db| quick = number.(db) and ended << "quick" } } }
        # Not with_timeout, which async 1 takes for the end of a wait of its own.
        under_way = false
        endless = task.async { pool.with { |db| (under_way = true) && db.query("SELECT pg_sleep(30)") } }
        task.async do
          task.sleep(0.005) until under_way
          endless.stop
          ended << "stopped"
        end
      end
      wait_until { pool.stats.values_at(:leased, :away, :waiting).sum.zero? }
      say(ended: ended, own: slow != quick, works: pool.with { |db| db.query("SELECT 1 AS one") })
    RUBY
    expect(said).to eq(ended: %w[quick quick quick stopped slow], own: true, works: [{ one: 1 }])
  end
end
