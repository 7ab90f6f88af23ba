# frozen_string_literal: true

require "spec_helper"

RSpec.describe "A native pool whose server fails", :native, :once, only: :postgresql do
  # One example's incident is not the next one's: a connection opened after it ends it.
  after do
    server.start unless server.running?
    wait_until do
      error_of { pool(size: 1).with(&:ping) }
      Poolkeeper.healthy?
    end
  end

  it "drops idle connections as soon as the server closes them: nothing is sent, and nobody has to ask" do
    pool = pool(size: 10)
    warm(pool, 10)
    server.terminate(sessions.map(&:pid))
    ended = Support.now
    wait_until { pool.stats[:idle].zero? }
    expect(Support.now - ended).to be < 1
    # They leave the pool before they are closed.
    wait_until { Support::Proc.sockets_to(server.port).zero? }
    expect(Poolkeeper.stats[pool.name]).to include(evicted: 10)
  end

  it "fails nothing after a restart, with 8 connections and 24 statements" do
    pool = pool(size: 8)
    before = warm(pool, 8)
    server.restart
    errors = Array.new(24) { Thread.new { error_of { pool.with { |db| pid(db) } } } }.map(&:value).compact
    expect(errors).to eq([])
    expect(sessions.map(&:pid) & before).to eq([])
  end

  it "costs the statements in flight, and those alone" do
    pool = pool(size: 4)
    running = Array.new(2) { Thread.new { error_of { pool.with { |db| db.query("SELECT pg_sleep(30)") } } } }
    wait_until { sessions(state: "active", query: /pg_sleep/).size == 2 }
    server.restart
    expect(running.map(&:value)).to all(be_a(Poolkeeper::ConnectionError).and(have_attributes(fault: :dead)))
    expect(Array.new(8) { error_of { pool.with { |db| pid(db) } } }.compact).to eq([])
    expect_log(/incident opened.*incident closed/m)
  end

  it "fails fast while the server is down, and is back by itself with the server" do
    pool = pool(size: 2)
    warm(pool, 2)
    stop
    expect { pool.with(&:ping) }.to raise_error(Poolkeeper::HostDownError, /Connection refused/)
    expect(Poolkeeper.healthy?).to be(false)
    errors, seconds = timed { Array.new(50) { error_of { pool.with(&:ping) } } }
    expect(errors).to all(be_a(Poolkeeper::HostDownError))
    expect(seconds).to be < 0.5
    server.start
    # The prober brings the first connection, though nobody asks.
    wait_until { pool.stats[:idle].positive? }
    expect(pool.with { |db| pid(db) }).to be_positive
    wait_until { Poolkeeper.healthy? }
  end

  it "tells whoever waits as soon as the server is found to be down" do
    pool = pool(size: 1)
    server.stop
    errors, seconds = timed { Array.new(5) { Thread.new { error_of { pool.with(timeout: 30, &:ping) } } }.map(&:value) }
    expect(errors).to all(be_a(Poolkeeper::HostDownError))
    expect(seconds).to be < 2
  end

  it "keeps no connection to a server that refuses writes, and says which error it was" do
    server.sql("CREATE TABLE IF NOT EXISTS writes (number int)")
    pool = pool(size: 3)
    before = warm(pool, 3)
    server.read_only!(true)
    error = error_of { pool.with { |db| db.execute("INSERT INTO writes VALUES (1)") } }
    expect(error).to have_attributes(class: Poolkeeper::ReadOnlyError, sqlstate: "25006", fault: :demoted)
    wait_until { (sessions.map(&:pid) & before).empty? }
    server.read_only!(false)
    expect(pool.with { |db| db.execute("INSERT INTO writes VALUES (1)") }).to eq(1)
  ensure
    server.read_only!(false)
  end

  it "tells whoever goes on after a transaction within another that the connection broke when that was rolled back" do
    pool = pool(size: 1)
    error = error_of do
      pool.with do |db|
        db.transaction do
          db.transaction do
            server.terminate(pid(db))
            raise ArgumentError, "the application's own"
          end
        rescue ArgumentError
          db.query("SELECT 1")
        end
      end
    end
    expect(error).to be_a(Poolkeeper::ConnectionError).and have_attributes(fault: :dead)
    expect(error.cause).to be_a(ArgumentError)
    expect(pool.with { |db| pid(db) }).to be_positive
  end

  it "raises what a transaction raised whose connection broke: its server rolls back by itself" do
    pool = pool(size: 1)
    error = error_of do
      pool.with do |db|
        db.transaction do
          server.terminate(pid(db))
          raise ArgumentError, "the application's own"
        end
      end
    end
    expect(error).to be_a(ArgumentError)
    expect(pool.with { |db| pid(db) }).to be_positive
  end

  it "is told by its error in a handler, which does nothing more about it" do
    pool = pool(size: 2)
    error = nil
    pool.with do |db|
      server.terminate(pid(db))
      error = error_of { db.query("SELECT 1") }
      expect(error_of { db.query("SELECT 1") }.message).to match(/has broken since it was taken/)
    end
    found = Poolkeeper.verify(error)
    expect(found).to have_attributes(fault: :dead, pools: [pool.name], dropped: 0)
    expect(pool.with { |db| pid(db) }).to be_positive
  end

  it "harms nothing that is well: a long statement, a notification, a changed setting, a limit of connections" do
    pool = pool(size: 3)
    before = warm(pool, 3)
    expect { pool.with { |db| db.execute("LISTEN news") } }.to raise_error(Poolkeeper::QueryError, /LISTEN is not/)
    pool.with { |db| db.execute("NOTIFY news, 'now'") }
    server.sql("ALTER SYSTEM SET work_mem = '5MB'")
    server.sql("SELECT pg_reload_conf()")
    pool.with { |db| db.query("SELECT pg_sleep(1.5)") }
    expect { pool.with { |db| db.query("SELECT nonsense") } }.to raise_error(Poolkeeper::QueryError)
    expect(pool.sweep).to eq(0)
    expect(warm(pool, 3).sort).to eq(before.sort)
    expect(Poolkeeper.stats[pool.name]).to include(evicted: 0, dropped: 0, discarded: 0)
  end

  it "waits for one of its own connections where the server takes no more" do
    pool = pool(size: 2)
    server.sql("ALTER ROLE poolkeeper CONNECTION LIMIT 1")
    holding(pool) do |_db|
      waiter = Thread.new { pool.with(timeout: 10) { |db| pid(db) } }
      said = server.log_since { wait_until { pool.stats[:waiting] == 1 } }
      wait_until { (said += server.log_since { sleep(0.05) }).include?("too many connections for role") }
      expect(waiter).to be_alive
      @waiter = waiter
    end
    expect(@waiter.value).to be_positive
  ensure
    server.sql("ALTER ROLE poolkeeper CONNECTION LIMIT -1")
  end
end
