# frozen_string_literal: true

require "spec_helper"

# What an error means is tested row by row in Rust, with texts from books. Here servers and drivers speak themselves.
RSpec.describe "What a server answers", :database do
  let(:item) { Support::Models::Item }

  def error_of
    yield
    nil
  rescue StandardError => e
    e
  end

  # Runs a block while another client does something to its connection in the middle of it.
  def meanwhile(pid, sql)
    other = Thread.new do
      wait_until { primary.backends(pid: pid, state: "active").any? }
      primary.sql(sql)
    end
    yield
  ensure
    other.join
  end

  # A row that another client has locked.
  def locked
    locking = Queue.new
    done = Queue.new
    item.create!(id: 1, n: 1)
    other = Thread.new do
      item.transaction { item.where(id: 1).update_all(n: 2) && (locking << true) && done.pop }
      Poolkeeper.release
    end
    locking.pop
    yield
  ensure
    done << true
    other.join
  end

  # The error that a statement on a connection of ours raises, and the connection.
  def raised_by(&statement)
    adapter = hold
    pid = backend_of(adapter)
    [error_of { instance_exec(adapter, pid, &statement) }, adapter, pid]
  end

  describe "leaves the connection where it was:" do
    {
      "a mistake in a statement" => ->(adapter, _) { adapter.execute("SELEKT 1") },
      "a duplicate" => ->(*) { 2.times { item.create!(id: 1, n: 1) } },
      "a statement that was cancelled" => lambda do |adapter, pid|
        meanwhile(pid, dialect.cancel(pid)) { adapter.execute(dialect.sleep(20)) }
      end,
      "a statement that took too long" => lambda do |adapter, _|
        adapter.execute(dialect.limit_statements(0.1))
        adapter.execute(dialect.sleep(20))
      end,
      "a lock that was not to be had" => lambda do |adapter, _|
        adapter.execute(dialect::LIMIT_LOCKS)
        locked { adapter.execute("UPDATE items SET n = 3") }
      end
    }.each do |name, statement|
      it name do
        error, adapter, pid = raised_by(&statement)

        expect(error).to be_a(ActiveRecord::StatementInvalid)
        expect(Poolkeeper.verify(error)).to be_nil
        expect(backend_of(adapter)).to eq(pid)
        expect(Poolkeeper.release).to eq(1)
        expect(counts).to include(dropped: 0, discarded: 0)
        expect(Poolkeeper.healthy?).to be(true)
      end
    end
  end

  describe "is the end of the connection, which is dropped at once:" do
    {
      "an administrator's command while it is idle" => [:dead, lambda do |adapter, pid|
        primary.terminate([pid])
        adapter.execute("UPDATE items SET n = 1")
      end],
      "an administrator's command in the middle of a statement" => [:dead, lambda do |adapter, pid|
        meanwhile(pid, dialect.kill(pid)) { adapter.execute(dialect.sleep(20)) }
      end],
      "the server's limit for idle connections" => [Support::Dialect.current::EXPIRED, lambda do |adapter, pid|
        adapter.execute(dialect::LIMIT_IDLING)
        wait_until { primary.backends(pid: pid).empty? }
        adapter.execute("UPDATE items SET n = 1")
      end],
      "the server's limit for idle transactions" => [Support::Dialect.current::EXPIRED, lambda do |adapter, pid|
        adapter.execute(dialect::LIMIT_TRANSACTIONS)
        adapter.execute("BEGIN")
        wait_until { primary.backends(pid: pid).empty? }
        adapter.execute("UPDATE items SET n = 1")
      end]
    }.each do |name, (fault, statement)|
      it name do
        error, _, pid = raised_by(&statement)

        expect(Poolkeeper.verify(error))
          .to have_attributes(fault: fault, dropped: 1, pools: ["primary writing default"])
        expect(backend_of(hold)).not_to eq(pid)
        expect(written_by(hold)).to eq(1)
      end
    end
  end

  it "is no fault of a connection where a log-in is refused, or the database is not there" do
    { database: "nothing", username: "nobody" }.each do |key, value|
      ActiveRecord::Base.establish_connection(primary.config(key => value))
      error = error_of { hold.select_value("SELECT 1") }
      expect(error).not_to be_nil
      expect(Poolkeeper.verify(error)).to be_nil, error.full_message
    end
    expect(Poolkeeper.healthy?).to be(true)
  ensure
    ActiveRecord::Base.establish_connection(:primary)
  end

  it "leaves everything alone where the server allows no more connections" do
    held = hold
    pid = backend_of(held)
    error = dialect.crowded(primary) { on_thread { error_of { hold(shard: :one).select_value("SELECT 1") } } }

    expect(Poolkeeper.verify(error)).to have_attributes(fault: :overloaded, condemned: 0, dropped: 0)
    expect(backend_of(held)).to eq(pid)
    expect(Poolkeeper.healthy?).to be(true)
  end

  it "leaves a connection that the driver has given up to nobody: the next job gets one that works", only: :mariadb do
    disconnect
    connect(read_timeout: 1)
    error = on_thread { error_of { Poolkeeper.wrap { hold.execute(dialect.sleep(20)) } } }
    expect(error).to be_a(ActiveRecord::AdapterTimeout)
    expect(Poolkeeper.verify(error)).to be_nil

    expect(on_thread { Poolkeeper.wrap { written_by(hold) } }).to eq(1)
    expect(on_thread { Poolkeeper.wrap { item.where(n: -1).update_all(n: 1) } }).to eq(1)
  ensure
    primary.terminate(:all)
  end
end
