# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Poolkeeper.release", :database do
  def busy
    pools.sum { |pool| pool.stat[:busy] }
  end

  it "gives back what a thread holds in every role and shard, in one call" do
    on_thread do
      [%i[writing default], %i[reading default], %i[writing one], %i[reading one]].each do |role, shard|
        hold(role: role, shard: shard).select_value("SELECT 1")
      end
      expect(busy).to eq(4)

      expect(Poolkeeper.release).to eq(4)
      expect(busy).to eq(0)
      expect(Poolkeeper.release).to eq(0)
    end
    expect(primary.backends.size + standby.backends.size).to eq(4)
  end

  it "leaves what other threads hold" do
    borrowed = Queue.new
    done = Queue.new
    other = Thread.new do
      adapter = hold
      borrowed << adapter
      done.pop
      adapter.select_value("SELECT 2")
    end
    adapter = borrowed.pop
    hold

    expect(Poolkeeper.release).to eq(1)
    expect(adapter.owner).to eq(other)
    done << true
    expect(other.value).to eq(2)
  end

  it "serves a thread that waits for a connection" do
    writing_pool.checkout_timeout = 5
    holders = Array.new(Support::Database::SIZE - 1) { writing_pool.checkout }
    hold
    waiter = Thread.new { writing_pool.with_connection { |adapter| adapter.select_value("SELECT 3") } }
    wait_until { writing_pool.num_waiting_in_queue == 1 }

    expect(Poolkeeper.release).to be >= 1
    expect(waiter.value).to eq(3)
    holders.each { |adapter| writing_pool.checkin(adapter) if adapter.in_use? }
  end

  it "finds pools that came after observing began, and does not trip over discarded ones" do
    on_thread do
      hold
      discarded = writing_pool
      Support::Models.disconnect
      discarded.discard! unless discarded.discarded?
      Support::Models.connect
      hold

      expect(Poolkeeper.release).to eq(1)
    end
  end

  it "gives back the others where the checkin callback of one raises, and loses no slot" do
    calls = 0
    faulty = hold
    faulty.singleton_class.set_callback(:checkin, :before) { (calls += 1) && raise("the application's callback") }
    hold(role: :reading)

    expect(Poolkeeper.release).to eq(2)
    expect(calls).to be >= 1
    expect_log(/the application's callback/)
    expect(busy).to eq(0)
    expect(warm_up.size).to eq(Support::Database::SIZE)
  end

  describe "a connection taken with checkout" do
    it "goes back where it was taken during this piece of work" do
      on_thread do
        Poolkeeper.release
        writing_pool.checkout

        expect(Poolkeeper.release).to eq(1)
        expect(busy).to eq(0)
      end
    end

    it "stays where it was taken before: it holds a LISTEN or an advisory lock, and is told of once" do
      on_thread do
        listening = writing_pool.checkout
        listening.execute(dialect::LINGER)
        Poolkeeper::Mirror._job(Thread.current.object_id, "orders", 3)
        hold

        2.times { Poolkeeper.release }
        expect(listening.owner).to eq(Thread.current)
        expect(listening.select_value(dialect::LINGERS)).to be_truthy
        expect_log(/taken with checkout before/)
        expect(log_text.scan("taken with checkout").size).to eq(1)
        writing_pool.checkin(listening)
      end
    end
  end

  it "walks the pools in full every hundred releases of something, and the mirror has missed nothing" do
    250.times do
      hold
      Poolkeeper.release
    end
    expect(busy).to eq(0)
    expect(Poolkeeper.stats.values.sum { |pool| pool[:mirror_misses] }).to eq(0)
  end

  it "gives back at the next walk what was lent without a word" do
    on_thread do
      Poolkeeper.release
      adapter = hold
      Poolkeeper::Mirror._lease_ended(Poolkeeper::Observed::Adapters.number(adapter))

      given_back = Array.new(100) do
        hold(role: :reading)
        Poolkeeper.release
      end
      expect(given_back.sum).to eq(101)
      expect(adapter.in_use?).to be_falsy
      expect(counts[:mirror_misses]).to eq(1)
    end
  end

  it "gives back at the next walk what an interrupt has cut off before anybody had it" do
    on_thread do
      Poolkeeper.release
      # Where ActiveRecord is interrupted between its queue and its callbacks, this is what is left.
      adapter = writing_pool.send(:acquire_connection, 5)
      given_back = Array.new(100) do
        hold(role: :reading)
        Poolkeeper.release
      end
      expect(given_back.sum).to eq(101)
      expect(adapter.in_use?).to be_falsy
    end
  end

  it "puts nothing back into a pool that a connection has left meanwhile" do
    adapter = writing_pool.checkout
    on_thread { writing_pool.disconnect! }
    expect { writing_pool.checkin(adapter) }.to raise_error(ActiveRecord::ActiveRecordError)

    lent = Array.new(Support::Database::SIZE) { writing_pool.checkout }
    expect(lent - writing_pool.connections).to eq([])
    expect(lent).not_to include(adapter)
  ensure
    lent&.each { |taken| writing_pool.checkin(taken) }
  end

  it "forgets leases that ended without a word" do
    on_thread do
      adapter = hold
      adapter.throw_away!

      expect(Poolkeeper.release).to eq(0)
      expect(Poolkeeper.stats.values.sum { |pool| pool[:leases].size }).to eq(0)
    end
  end

  describe "never waits for a server that has stopped answering" do
    # Statements are closed over the wire, which on 6.1 would be waited for.
    [true, false].each do |prepared|
      it "with #{prepared ? "prepared" : "plain"} statements" do
        disconnect
        connect(prepared_statements: prepared)
        adapter = hold
        10.times { |number| Support::Models::Item.where(n: number).to_a }
        pid = backend_of(adapter)
        adapter.begin_transaction(_lazy: false)
        primary.freeze_backend(pid)

        # Nobody thaws it before: whoever waits, waits for ever.
        expect(Poolkeeper.release).to eq(1)
        primary.thaw
        wait_until { primary.backends(pid: pid).empty? }
      ensure
        primary.thaw
      end
    end
  end
end
