# frozen_string_literal: true

require_relative "../spec_helper"
require "timeout"
require_relative "../support/balancer"

# What MariaDB alone does.
RSpec.describe "A native pool of MariaDB", :database, :once, only: :mariadb do
  let(:pool) { Poolkeeper::Pool.new(primary.url.sub("mysql2:", "mysql:"), name: "maria", size: 1) }

  before do
    primary.sql("CREATE OR REPLACE TABLE things (id int PRIMARY KEY, n int)")
    primary.sql("INSERT INTO things VALUES (1, 0)")
  end

  after do
    pool.close
    primary.sql("DROP TABLE things; DROP PROCEDURE IF EXISTS twice")
  end

  def rows
    primary.sql("SELECT id, n FROM things ORDER BY id")
  end

  it "goes on with a transaction in which a lock was waited for in vain, as the server does" do
    pool.with do |db|
      db.execute("SET SESSION innodb_lock_wait_timeout = 1")
      primary.observe do |client|
        client.query("START TRANSACTION")
        client.query("UPDATE things SET n = 1 WHERE id = 1")
        db.transaction do
          db.execute("INSERT INTO things VALUES (2, 0)")
          expect { db.execute("UPDATE things SET n = 2 WHERE id = 1") }
            .to raise_error(Poolkeeper::QueryError) { |error| expect(error.errno).to eq(1205) }
          db.execute("INSERT INTO things VALUES (3, 0)")
        end
      end
    end
    expect(rows).to eq([%w[1 0], %w[2 0], %w[3 0]])
  end

  it "goes on with a transaction in which a statement was refused, as the server does" do
    pool.with do |db|
      db.transaction do
        db.execute("INSERT INTO things VALUES (2, 0)")
        expect { db.execute("INSERT INTO things VALUES (2, 1)") }.to raise_error(Poolkeeper::QueryError)
        db.execute("INSERT INTO things VALUES (3, 0)")
      end
    end
    expect(rows).to eq([%w[1 0], %w[2 0], %w[3 0]])
  end

  it "tells what cannot be read once the server has said the rest, and goes on" do
    # Too wide for the server to keep to itself until it has the next.
    sql = "SELECT day, REPEAT('x', 100000) AS wide, SLEEP(seconds) AS slept FROM odd"
    primary.sql("CREATE OR REPLACE TABLE odd (day date, seconds double)")
    primary.sql("INSERT INTO odd VALUES ('2024-00-00', 0), ('2024-01-01', 1.2)")
    pool.with do |db|
      number = -> { db.query("SELECT CONNECTION_ID() AS id").first[:id] }
      before = number.call
      expect { db.query(sql) }.to raise_error(Poolkeeper::QueryError, /cannot be read/)
      expect(number.call).to eq(before)
    end
    expect(Poolkeeper.healthy?).to be(true)
  ensure
    primary.sql("DROP TABLE odd")
  end

  it "hands on no setting by which each statement begins a transaction, whatever was committed" do
    pool.with do |db|
      db.execute("SET autocommit = 0")
      db.execute("INSERT INTO things VALUES (2, 0)")
      db.execute("COMMIT")
    end
    pool.with { |db| db.execute("INSERT INTO things VALUES (3, 0)") }
    expect(rows).to eq([%w[1 0], %w[2 0], %w[3 0]])
    expect(Poolkeeper.stats["maria"]).to include(leaked: 0)
  end

  it "hands on no table that is locked" do
    pool.with do |db|
      db.execute("LOCK TABLES things WRITE")
      db.execute("COMMIT")
    end
    expect(pool.with { |db| db.query("SELECT 1 AS a") }).to eq([{ a: 1 }])
    expect(rows).to eq([%w[1 0]])
  end

  it "answers with the first rows of a procedure, and goes on" do
    primary.sql("CREATE PROCEDURE twice() BEGIN SELECT 1 AS a; SELECT 'x' AS b, 2 AS c; END")
    expect(pool.with { |db| db.query("CALL twice()") }).to eq([{ a: 1 }])
    expect(pool.with { |db| db.query("SELECT 3 AS a") }).to eq([{ a: 3 }])
  end

  it "speaks UTC and UTF-8, and leaves the server's sql_mode alone" do
    sql = "SELECT @@time_zone AS zone, @@character_set_client AS charset, 1 || 0 AS either"
    expect(pool.with { |db| db.query(sql) }).to eq([{ zone: "+00:00", charset: "utf8mb4", either: 1 }])
  end

  # Opens connections until one has so high a number: servers count theirs. They are opened no faster than the server
  # gets to the goodbyes, and it is the last for now.
  def count_up(node, number)
    loop do
      newest = node.observe do |client|
        connected = "variable_value FROM information_schema.global_status WHERE variable_name = 'Threads_connected'"
        wait_until { client.query("SELECT #{connected}").first.first.to_i < 20 }
        client.query("SELECT CONNECTION_ID()").first.first.to_i
      end
      return newest unless newest < number
    end
  end

  it "leaves a stranger's statement alone that has the same number behind a balancer" do
    balancer = Support::Balancer.new(primary.port)
    url = primary.url.sub("mysql2:", "mysql:").sub(":#{primary.port}/", ":#{balancer.port}/")
    pool = Poolkeeper::Pool.new(url, name: "balanced", size: 1)
    number = -> { pool.with { |db| db.query("SELECT CONNECTION_ID() AS id") }.first[:id] }
    # One more, for counting takes a number, too.
    count_up(primary, count_up(standby, 0) + 1)
    count_up(standby, number.call - 1)
    stranger = Mysql2::Client.new(standby.config.except(:adapter))
    expect(stranger.thread_id).to eq(number.call)

    asleep = Thread.new { stranger.query("SELECT SLEEP(2.5) AS ended", as: :array).first }
    balancer.target = standby.port
    expect { pool.with { |db| Timeout.timeout(0.3) { db.query("SELECT SLEEP(30)") } } }.to raise_error(Timeout::Error)
    # MariaDB answers 1 where it was ended.
    expect(asleep.value).to eq([0])
    wait_until(message: -> { pool.stats.to_s }) { pool.stats.values_at(:idle, :leased, :away) == [0, 0, 0] }
  ensure
    pool.close
    balancer.close
    stranger&.close
    primary.terminate(:all)
  end

  it "drops connections whose server has restarted before they are lent" do
    before = pool.with { |db| db.query("SELECT CONNECTION_ID() AS id") && primary.backends.map(&:client_port) }
    primary.terminate(:all)
    expect(pool.with { |db| db.query("SELECT 1 AS a") }).to eq([{ a: 1 }])
    expect(primary.backends.map(&:client_port) & before).to eq([])
  end
end
