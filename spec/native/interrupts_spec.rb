# frozen_string_literal: true

require "spec_helper"
require_relative "../support/timeouts"

RSpec.describe "An interrupt in a native pool", :native, :once, :scripts, only: :postgresql do
  include Support::Timeouts

  # Everything is back, and another owner can have it: nothing of the interrupted one is left on the server.
  def expect_whole(pool)
    wait_until(message: -> { pool.stats.to_s }) { pool.stats.values_at(:leased, :away, :opening, :waiting).sum.zero? }
    wait_until(message: -> { sessions.to_s }) { sessions(state: /active|transaction/).empty? }
    expect(on_another_thread { pool.with { |db| db.query("SELECT 1 AS one") } }).to eq([{ one: 1 }])
  end

  def on_another_thread(&block)
    Thread.new(&block).value
  end

  # Interrupts what a thread waits for: three ways, of which one ends the thread.
  def interrupted(way, ready, &block)
    due = Queue.new
    thread = Thread.new do
      Thread.current.report_on_exception = false
      way == :timeout ? with_timeout(due, &block) : yield
    end
    wait_until(&ready)
    due << true if way == :timeout
    thread.kill if way == :kill
    thread.raise(RuntimeError, "from another thread") if way == :raise
    value, seconds = timed { error_of { thread.value } }
    expect(seconds).to be < 2
    value
  end

  ends = { timeout: Timeout::Error, raise: RuntimeError, kill: NilClass }

  ends.each do |way, error|
    it "ends a wait for a connection, and the next in line is served (#{way})" do
      pool = pool(size: 1)
      holding(pool) do
        ended = interrupted(way, -> { pool.stats[:waiting] == 1 }) { pool.with { nil } }
        expect(ended).to be_a(error)
        expect(pool.stats).to include(waiting: 0, leased: 1)
      end
      expect_whole(pool)
    end

    it "ends a connect to a peer that is silent (#{way})" do
      TCPServer.open("127.0.0.1", 0) do |silent|
        url = "postgres://poolkeeper@127.0.0.1:#{silent.addr[1]}/poolkeeper"
        pool = Poolkeeper::Pool.new(url, size: 1, connect_timeout: 1)
        expect(interrupted(way, -> { pool.stats[:opening] == 1 }) { pool.with { nil } }).to be_a(error)
        wait_until { pool.stats[:opening].zero? }
        expect(pool.stats).to include(leased: 0, waiting: 0)
        pool.close
      end
    end

    it "ends a statement, on the server too (#{way})" do
      pool = pool(size: 1)
      warm(pool, 1)
      running = -> { sessions(state: "active", query: /pg_sleep/).any? }
      expect(interrupted(way, running) { pool.with { |db| db.query("SELECT pg_sleep(30)") } }).to be_a(error)
      expect_whole(pool)
    end

    it "rolls back a transaction whose statement it has cut off (#{way})" do
      server.sql("DROP TABLE IF EXISTS numbers; CREATE TABLE numbers (number int)")
      pool = pool(size: 1)
      warm(pool, 1)
      running = -> { sessions(state: "active", query: /pg_sleep/).any? }
      interrupted(way, running) do
        pool.with do |db|
          db.transaction do
            db.execute("INSERT INTO numbers VALUES ($1)", 1)
            db.query("SELECT pg_sleep(30)")
          end
        end
      end
      expect_whole(pool)
      expect(server.sql("SELECT count(*) FROM numbers")).to eq([["0"]])
    end
  end

  ends.slice(:raise, :kill).each do |way, error|
    it "ends the wait of a close, which goes on (#{way})" do
      pool = pool(size: 1)
      holding(pool) do
        ended = interrupted(way, -> { pool.closed? }) { pool.close(timeout: 30) }
        expect(ended).to be_a(error)
      end
      await_sessions(0)
      expect(pool.close).to be(true)
    end

    it "ends the wait for files that are being closed before a fork (#{way})" do
      pool = pool(size: 1)
      warm(pool, 1)
      # No file takes as long as this.
      allow(pool).to receive(:_parted).and_return(false)
      ended = interrupted(way, -> { pool.stats[:idle].zero? }) do
        Poolkeeper::KarafkaListener.new.on_swarm_manager_before_fork(nil)
      end
      expect(ended).to be_a(error)
      await_sessions(0)
    end

    it "ends a wait for the statement before it, which a silent server keeps (#{way})" do
      pool = pool(size: 1)
      began = Queue.new
      owner = lambda do
        pool.with do |db|
          began << [pid(db), Thread.current]
          db.query("SELECT pg_sleep(30)")
        rescue Timeout::Error
          began << :second
          db.query("SELECT 1")
        end
      end
      frozen = nil
      ready = lambda do
        frozen ||= began.pop.then do |backend, thread|
          wait_until { sessions(state: "active", query: /pg_sleep/).any? }
          server.freeze_backend(backend)
          thread.raise(Timeout::Error)
          backend
        end
        began.pop == :second
      end
      expect(interrupted(way, ready, &owner)).to be_a(error).or(be_a(Poolkeeper::NotHeldError))
      server.thaw_backend(frozen)
      expect_whole(pool)
    end
  end

  it "leaves its connection to an owner who goes on, once the server has ended the statement" do
    pool = pool(size: 1)
    pool.with do |db|
      before = pid(db)
      expect { Timeout.timeout(0.1) { db.query("SELECT pg_sleep(30)") } }.to raise_error(Timeout::Error)
      expect(pid(db)).to eq(before)
    end
    expect_whole(pool)
  end

  # An interrupt that is pending when the answer comes is let in where nothing is lost by it: else the second
  # transaction would be a savepoint of the first, and go with it.
  it "never leaves a transaction behind that the next one would be a part of" do
    server.sql("DROP TABLE IF EXISTS kept; CREATE TABLE kept (number int)")
    pool = pool(size: 1)
    busy = Thread.new { loop { 1 + 1 } }
    random = Random.new(3)
    confirmed = 0
    30.times do
      pool.with do |db|
        begin
          Timeout.timeout(random.rand(0.0001..0.003)) { db.transaction { db.transaction { db.query("SELECT 1") } } }
        rescue Timeout::Error
          nil
        end
        db.transaction { db.execute("INSERT INTO kept VALUES (1)") }
        confirmed += 1
      rescue Poolkeeper::NotHeldError
        # Cut off in a transaction, and dropped for that: another takes its place.
        nil
      end
    end
    expect(confirmed).to be_positive
    expect(server.sql("SELECT count(*) FROM kept")).to eq([[confirmed.to_s]])
    expect_whole(pool)
  ensure
    busy.kill.join
  end

  it "lets go of a connection whose server does not answer the cancel" do
    pool = pool(size: 1)
    thread = Thread.new { pool.with { |db| db.query("SELECT pg_sleep(30)") } }
    wait_until { sessions(state: "active", query: /pg_sleep/).any? }
    frozen = sessions.first.pid
    server.freeze_backend(frozen)
    expect(timed { thread.kill.join }.last).to be < 0.5
    expect(on_another_thread { pool.with(timeout: 4) { |db| pid(db) } }).not_to eq(frozen)
  ensure
    server.thaw_backend(frozen)
  end

  it "loses nothing, wherever it comes" do
    pool = pool(size: 2)
    random = Random.new(7)
    owners = Array.new(4) do
      Thread.new do
        Thread.current.report_on_exception = false
        loop do
          Timeout.timeout(random.rand(0.0005..0.004)) { pool.with { |db| db.query("SELECT pg_sleep(0.001)") } }
        rescue Timeout::Error, Poolkeeper::Error
          nil
        end
      end
    end
    started = owners.dup
    deadline = Support.now + 3
    while Support.now < deadline
      sleep(random.rand(0.005))
      victim = owners.sample(random: random)
      victim.raise(RuntimeError, "from another thread") if victim.alive?
      started << Thread.new do
        Thread.current.report_on_exception = false
        loop { pool.with { |db| db.query("SELECT 1") } }
      end
      owners[owners.index(victim)] = started.last
    end
    # Where two interrupts come at once, Ruby has the later one take the other's place: a victim may have gone on.
    started.each(&:kill)
    wait_until { started.none?(&:alive?) }
    # What threads held that ended between a lease and its block goes back when somebody waits.
    expect(warm(pool, 2).uniq.size).to eq(2)
    expect_whole(pool)
    wait_until(message: -> { sessions.inspect }) { sessions.size <= 2 }
  end

  it "runs a trap handler in the middle of every wait" do
    said = answers(<<~RUBY, "require 'poolkeeper'")
      # Holds a connection and a lock, and gives them back when the handler has run: nothing else ends the wait.
      def signalled(size, waiting, &wait)
        options = { size: size, application_name: "a spec", statement_timeout: 10 }
        pool = Poolkeeper::Pool.new(#{server.url.dump}, **options)
        taken = Queue.new
        handled = Queue.new
        trap("USR1") { handled << true }
        holder = Thread.new do
          pool.with do |db|
            db.query("SELECT pg_advisory_lock(1)")
            taken << true
            wait_until { waiting.call(pool, db) }
            system("sh", "-c", "kill -USR1 \#{Process.pid}")
            handled.pop
            db.query("SELECT pg_advisory_unlock(1)")
          end
        end
        taken.pop
        error_of { wait.call(pool) }
      ensure
        holder.join
        pool.close
      end
      blocked = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
      errors = [
        signalled(2, ->(_, db) { db.query(blocked).any? }) do |pool|
          pool.with { |db| db.query("SELECT pg_advisory_xact_lock(1)") }
        end,
        signalled(1, ->(pool, _) { pool.stats[:waiting] == 1 }) { |pool| pool.with(timeout: 10) { nil } }
      ]
      say(errors: errors.map { |error| error&.message })
    RUBY
    expect(said).to eq(errors: [nil, nil])
  end
end
