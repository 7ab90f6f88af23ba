# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Poolkeeper.verify", :database do
  let(:item) { Support::Models::Item }

  def error_of
    yield
    nil
  rescue StandardError => e
    e
  end

  it "answers nil for an error that says nothing of a connection, and looks at nothing" do
    item.create!(id: 1, n: 1)
    error = error_of { item.create!(id: 1, n: 1) }
    expect(Poolkeeper.verify(error)).to be_nil
    expect(Poolkeeper.verify(ArgumentError.new("no"))).to be_nil
    expect(Poolkeeper.healthy?).to be(true)
  end

  it "drops the failing connection at once, and names its pool" do
    on_thread do
      adapter = hold
      primary.terminate([backend_of(adapter)])
      error = error_of { adapter.execute("UPDATE items SET n = 1") }

      expect(Poolkeeper.verify(error)).to have_attributes(fault: :dead, pools: ["primary writing default"], dropped: 1)
      expect(Support::Proc.sockets_to(primary.port)).to eq(0)
      expect(written_by(hold)).to eq(1)
      Poolkeeper.release
    end
  end

  it "drops the worker's stale connections of other roles too, before they cost the next batch" do
    on_thread do
      writing = hold
      reading = hold(role: :reading)
      backend_of(writing)
      standby.terminate([backend_of(reading)])
      primary.terminate([backend_of(writing)])
      error = error_of { writing.execute("UPDATE items SET n = 1") }

      expect(Poolkeeper.verify(error).dropped).to eq(2)
      expect(hold(role: :reading).execute("SELECT 1").first).not_to be_nil
      Poolkeeper.release
    end
  end

  it "without an error only drops what is condemned already" do
    on_thread do
      healthy = hold(role: :reading)
      dead = hold
      pid = backend_of(healthy)
      primary.terminate([backend_of(dead)])

      expect(Poolkeeper.verify).to have_attributes(fault: nil, dropped: 1, condemned: 0)
      expect(backend_of(healthy)).to eq(pid)
      Poolkeeper.release
    end
  end

  it "takes no lease and opens no connection, while the server is up or down" do
    error = dialect.refused
    before = primary.backends.size
    Poolkeeper.verify(error)
    expect(primary.backends.size).to eq(before)
    expect(pools.sum { |pool| pool.stat[:busy] }).to eq(0)
  end

  it "leaves a connection in the middle of a transaction block to the block's own end" do
    on_thread do
      verified = nil
      error_of do
        item.transaction do
          item.create!(n: 1)
          adapter = hold
          primary.terminate([backend_of(adapter)])
          verified = Poolkeeper.verify(error_of { adapter.execute("SELECT 1") })
          raise ActiveRecord::Rollback
        end
      end
      expect(verified).to have_attributes(fault: :dead, dropped: 0)
      Poolkeeper.release
      expect(item.create!(n: 2)).to be_persisted
      Poolkeeper.release
    end
    expect(rows).to eq(1)
  end

  describe "with a demoted server" do
    def demoted
      on_thread do
        others = Array.new(2) { writing_pool.checkout }
        others.each { |adapter| backend_of(adapter) && writing_pool.checkin(adapter) }
        adapter = hold
        primary.read_only!(true)
        yield error_of { adapter.execute("INSERT INTO items (n) VALUES (1)") }
      end
    ensure
      primary.read_only!(false)
      Poolkeeper.release
    end

    it "condemns every connection to it; none from before is left" do
      demoted do |error|
        before = primary.backends.map(&:pid)
        expect(Poolkeeper.verify(error)).to have_attributes(fault: :demoted)
        Poolkeeper.release
        wait_until(message: "old connections gone") { !primary.backends.map(&:pid).intersect?(before) }
        expect_log(/refuses writes/)
        expect(Poolkeeper.healthy?).to be(false)
      end
      on_thread { item.create!(n: 2) && Poolkeeper.release }
      wait_until { Poolkeeper.healthy? }
    end

    it "leaves a pool alone that is a replica by configuration: a write there is the application's error" do
      on_thread do
        replica = hold(role: :reading)
        pid = backend_of(replica)
        error = error_of { replica.execute(dialect::WRITE_IN_DISGUISE) }
        expect(Poolkeeper.verify(error)).to have_attributes(fault: :demoted, condemned: 0, dropped: 0)
        expect(backend_of(replica)).to eq(pid)
        Poolkeeper.release
      end
      expect(Poolkeeper.healthy?).to be(true)
    end
  end

  it "leaves everything alone where the server is only full" do
    warm_up
    pids = primary.backends.map(&:pid)
    error = dialect.full
    expect(Poolkeeper.verify(error)).to have_attributes(fault: :overloaded, condemned: 0, dropped: 0)
    expect(Poolkeeper.healthy?).to be(true)
    expect(primary.backends.map(&:pid)).to match_array(pids)
  end

  it "leaves everything alone where the pool is exhausted" do
    pool = writing_pool
    holders = Array.new(5) { pool.checkout }
    pool.checkout_timeout = 0.05
    error = on_thread { error_of { pool.checkout } }
    expect(error).to be_a(ActiveRecord::ConnectionTimeoutError)
    expect(Poolkeeper.verify(error)).to be_nil
    holders.each { |adapter| pool.checkin(adapter) }
  ensure
    pool.checkout_timeout = 5
  end

  describe "verify!" do
    it "proves that each pool gives a connection that answers" do
      expect(Poolkeeper.verify!.pools).to include("primary writing default", "replica reading default")
      expect(Poolkeeper.verify!(item).pools).to eq(["primary writing default"])
      expect(pools.sum { |pool| pool.stat[:busy] }).to eq(0)
    end

    it "names the pool and its numbers where the server is down" do
      primary.stop
      expect { Poolkeeper.verify!(item, timeout: 2) }
        .to raise_error(Poolkeeper::ConnectionError, /primary writing default.*0 of 5 connections busy/) { |error|
          expect(error.cause).to be_a(ActiveRecord::ActiveRecordError)
        }
    ensure
      primary.start
    end

    it "leaves alone what it has given back, though its time is over" do
      adapter = warm_up(1).fetch(0)
      returned = Queue.new
      stay = Queue.new
      writing_pool.define_singleton_method(:checkin) do |given|
        super(given)
        returned << true
        stay.pop
      end
      outcome = Thread.new { error_of { Poolkeeper.verify!(item, timeout: 1) } }
      returned.pop
      next_owners = writing_pool.checkout

      expect(outcome.value).to be_a(Poolkeeper::ConnectionError)
      expect(next_owners).to equal(adapter)
      pid = backend_of(next_owners)
      expect(next_owners.select_value(Support::Dialect.current::OWN_PID)).to eq(pid)
    ensure
      stay << true
      writing_pool.singleton_class.remove_method(:checkin)
      writing_pool.checkin(next_owners)
    end

    it "ends at its timeout where the server has stopped answering, and leaves nothing behind" do
      warm_up(1)
      primary.freeze
      started = Support.now
      # Nobody thaws it before: whoever waits, waits for ever.
      expect { Poolkeeper.verify!(item, timeout: 0.5) }.to raise_error(Poolkeeper::ConnectionError, /no answer/)
      # Its own timeout, not the one by default.
      expect(Support.now - started).to be < 5
      primary.thaw
      wait_until { writing_pool.stat[:busy].zero? }
      expect(writing_pool.stat[:dead]).to eq(0)
      expect(Poolkeeper.verify!(item).pools).to eq(["primary writing default"])
    ensure
      primary.thaw
    end
  end
end
