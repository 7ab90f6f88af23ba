# frozen_string_literal: true

require "tmpdir"
require_relative "../spec_helper"

# What SQLite alone does: there is no server, and files are its databases.
RSpec.describe "A native pool of SQLite", :once do
  around do |example|
    @folder = Dir.mktmpdir("poolkeeper-sqlite-")
    example.run
  ensure
    # With force: SQLite removes files of its own in the background, where the last connection closes.
    FileUtils.remove_entry(@folder, true)
  end

  after { @pools.to_a.each(&:close) }

  def open_pool(url, **options)
    Poolkeeper::Pool.new(url, name: "lite", **options).tap { |pool| (@pools ||= []) << pool }
  end

  # What came of it in a forked child.
  def in_child
    reader, writer = IO.pipe
    pid = fork do
      yield
      writer.write("done")
    rescue StandardError => e
      writer.write("#{e.class}: #{e.message}")
    ensure
      writer.close
      exit!(0)
    end
    writer.close
    reader.read
  ensure
    Process.wait(pid)
    reader.close
  end

  # So many connections at once.
  def on_each(pool, count, &block)
    inside = Queue.new
    go = Queue.new
    threads = Array.new(count) do
      Thread.new do
        pool.with do |db|
          inside << true
          go.pop
          block.call(db)
        end
      end
    end
    count.times { inside.pop }
    count.times { go << true }
    threads.map(&:value)
  end

  it "makes the file, in which readers do not wait for the writer" do
    pool = open_pool("sqlite:#{@folder}/new.db", size: 2)
    pool.with { |db| db.execute("CREATE TABLE a (b integer)") }
    seen = pool.with do |db|
      db.transaction do
        db.execute("INSERT INTO a VALUES (1)")
        Thread.new { pool.with { |other| other.query("SELECT count(*) AS n FROM a") } }.value
      end
    end
    expect(seen).to eq([{ n: 0 }])
    expect(File.binread("#{@folder}/new.db", 16)).to eq("SQLite format 3\0")
  end

  it "lets writers wait for each other, even those that read first" do
    pool = open_pool("sqlite:#{@folder}/a.db", size: 4)
    pool.with { |db| db.execute("CREATE TABLE a (n integer)") && db.execute("INSERT INTO a VALUES (0)") }
    on_each(pool, 4) do |db|
      25.times do
        db.transaction do
          n = db.query("SELECT n FROM a").first[:n]
          db.execute("UPDATE a SET n = ?", n + 1)
        end
      end
    end
    expect(open_pool("sqlite:#{@folder}/a.db").with { |db| db.query("SELECT n FROM a") }).to eq([{ n: 100 }])
  end

  it "keeps a database in memory for all of its connections, and as long as it lives itself" do
    pool = open_pool("sqlite::memory:", size: 3)
    pool.with { |db| db.execute("CREATE TABLE a (b integer)") }
    on_each(pool, 3) { |db| db.execute("INSERT INTO a VALUES (1)") }
    expect(pool.reload).to eq(3)
    expect(pool.with { |db| db.query("SELECT count(*) AS n FROM a") }).to eq([{ n: 3 }])
    other = open_pool("sqlite::memory:", size: 1)
    expect { other.with { |db| db.query("SELECT * FROM a") } }.to raise_error(Poolkeeper::QueryError, /no such table/)
  end

  it "writes nothing with mode=ro" do
    path = "#{@folder}/a.db"
    open_pool("sqlite:#{path}").with { |db| db.execute("CREATE TABLE a (b integer)") }
    pool = open_pool("sqlite://#{path}?mode=ro")
    expect(pool.with { |db| db.transaction { db.query("SELECT * FROM a") } }).to eq([])
    expect { pool.with { |db| db.execute("INSERT INTO a VALUES (1)") } }
      .to raise_error(Poolkeeper::QueryError, /readonly/) { |error| expect(error.errno).to eq(8) }
  end

  it "tells the file that cannot be opened, and is not taken for a server that is down" do
    pool = open_pool("sqlite:#{@folder}/nowhere/a.db")
    expect { pool.lease }.to raise_error(Poolkeeper::ConnectionError) { |error|
      expect(error).not_to be_a(Poolkeeper::HostDownError)
      expect(error.message).to include("#{@folder}/nowhere/a.db", "unable to open database file")
    }
    Dir.mkdir("#{@folder}/nowhere")
    expect(pool.with(&:ping)).to be(true)
  end

  it "is not opened in a child of a process that had the file open, and is where it had not" do
    path = "#{@folder}/a.db"
    pool = open_pool("sqlite:#{path}")
    pool.with { |db| db.execute("CREATE TABLE a (b integer)") }
    expect(in_child { pool.with { |db| db.execute("INSERT INTO a VALUES (1)") } })
      .to match(/\APoolkeeper::ConnectionError: .*#{path} was open when this process was forked.*close the pool/)
    expect(in_child { Poolkeeper::Pool.new("sqlite:#{path}2").with { |db| db.query("SELECT 1") } }).to eq("done")
    pool.close
    expect(in_child { Poolkeeper::Pool.new("sqlite:#{path}").with { |db| db.execute("INSERT INTO a VALUES (2)") } })
      .to eq("done")
    expect(open_pool("sqlite:#{path}").with { |db| db.query("SELECT b FROM a") }).to eq([{ b: 2 }])
  end

  it "is opened in the child of a supervisor that has closed what it held for nothing" do
    pool = open_pool("sqlite:#{@folder}/a.db")
    pool.with { |db| db.execute("CREATE TABLE a (b integer)") }
    Poolkeeper::KarafkaListener.new.on_swarm_manager_before_fork(nil)
    expect(in_child { pool.with { |db| db.execute("INSERT INTO a VALUES (1)") } }).to eq("done")
    expect(pool.with { |db| db.query("SELECT b FROM a") }).to eq([{ b: 1 }])
  end

  it "tells of no leak where the lock for a transaction was not to be had" do
    writer = open_pool("sqlite:#{@folder}/a.db")
    pool = open_pool("sqlite:#{@folder}/a.db", name: "refused", statement_timeout: 0.2)
    writer.with do |other|
      other.transaction do
        pool.with { |db| expect { db.transaction { nil } }.to raise_error(Poolkeeper::QueryError, /locked/) }
      end
    end
    expect(pool.with { |db| db.transaction { db.query("SELECT 1 AS one") } }).to eq([{ one: 1 }])
    expect(Poolkeeper.stats["refused"]).to include(leaked: 0)
  end

  it "hands on no transaction that a savepoint has begun" do
    pool = open_pool("sqlite:#{@folder}/a.db", size: 1)
    pool.with { |db| db.execute("CREATE TABLE a (b integer)") }
    pool.with do |db|
      db.execute("SAVEPOINT mine")
      db.execute("INSERT INTO a VALUES (1)")
    end
    expect(pool.with { |db| db.query("SELECT * FROM a") }).to eq([])
  end
end
