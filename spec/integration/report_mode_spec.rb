# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Mode :report", :database do
  before { Poolkeeper.configure { |config| config.mode = :report } }

  # So that the example's end gives everything back.
  after { Poolkeeper.configure { |config| config.mode = :act } }

  def act
    Poolkeeper.configure { |config| config.mode = :act }
  end

  def would
    counts[:would]
  end

  def nothing_done
    expect(counts.slice(:released, :discarded, :evicted, :dropped, :leaked).values).to all(eq(0))
  end

  it "counts and says what a release would give back, and the owner keeps it" do
    adapter = hold
    pid = backend_of(adapter)

    expect(Poolkeeper.release).to eq(0)
    expect(adapter.owner).to eq(Thread.current)
    expect(backend_of(adapter)).to eq(pid)
    expect(would[:released]).to eq(1)
    nothing_done
    expect_log(/would.*release|release.*mode=report/i)
  end

  it "counts and says what a leaked transaction would cost, and leaves it open" do
    adapter = hold
    adapter.begin_transaction(_lazy: false)
    adapter.execute("INSERT INTO items (n) VALUES (1)")

    expect(Poolkeeper.release).to eq(0)
    expect(idle_in_transaction).to eq(1)
    expect(would).to include(leaked: 1, discarded: 1)
    nothing_done
    expect_log(/a transaction was left open \(.*mode=report/)
    expect_log(/discarded a connection.*\(.*mode=report/)

    adapter.commit_transaction
    expect(rows).to eq(1)
  end

  it "counts and says which idle connections would be evicted, and leaves them in the pool" do
    warm_up(3)
    adapters = writing_pool.connections
    sockets = adapters.map { |adapter| Support::Proc.fds[Poolkeeper::Observed::Driver.descriptor(adapter)] }
    primary.terminate(:all)
    wait_until { would[:evicted] == 3 }

    expect(writing_pool.connections).to match_array(adapters)
    expect(Support::Proc.fds.values).to include(*sockets)
    nothing_done
    expect_log(/evicted an idle connection \(.*mode=report/)
  end

  it "evicts none by verify! either" do
    warm_up(2)
    primary.terminate(:all)
    wait_until { would[:evicted] >= 2 }
    expect(pools.sum { |pool| Poolkeeper::Observed::Eviction.sweep(pool) }).to eq(0)
    expect(writing_pool.connections.size).to eq(2)
  end

  it "tells of each that would be evicted once, however often it comes by" do
    warm_up(2)
    primary.terminate(:all)
    wait_until { would[:evicted] >= 2 }
    2.times { Poolkeeper::Observed::Walk.tidy }
    told = Queue.new
    Poolkeeper.events.subscribe("release.kept") { told << true }
    # Whatever the walks have asked for is done by then.
    Poolkeeper::Events.tell("release.kept")
    told.pop
    expect(would[:evicted]).to eq(2)
  end

  it "does not go round for ever where a subscriber leaves a transaction open, and tells of that once" do
    # Subscriptions last.
    leave = [-> { hold.begin_transaction(_lazy: false) }]
    Poolkeeper.events.subscribe("release.reported") { leave.pop&.call }
    told = Queue.new
    Poolkeeper.events.subscribe("connection.leaked") { told << true }
    on_thread { hold && Poolkeeper.release }
    wait_until { idle_in_transaction == 1 && !told.empty? }
    own = Thread.list.find { |thread| thread.name == "poolkeeper" }.object_id
    carried = Queue.new
    Poolkeeper.events.subscribe("release.kept") { carried << true }
    3.times do
      Poolkeeper::Events.tell("release.kept", owner: own)
      carried.pop
    end
    expect(told.size).to eq(1)
  ensure
    act
    # The next event has the poolkeeper thread release.
    Poolkeeper::Events.tell("release.kept")
    wait_until { idle_in_transaction.zero? }
  end

  it "closes no idle connection before a fork" do
    warm_up(2)
    Poolkeeper::KarafkaListener.new.on_swarm_manager_before_fork(nil)
    expect(primary.backends.size).to eq(2)
  end

  it "counts and says which connections would be dropped at checkout, and hands them out" do
    warm_up(1)
    primary.terminate(:all)
    wait_until { would[:evicted] == 1 }
    adapter = writing_pool.connections.first
    socket = Support::Proc.fds[Poolkeeper::Observed::Driver.descriptor(adapter)]
    lent = nil
    begin
      # On 6.1 ActiveRecord itself looks here, and connects anew.
      lent = writing_pool.checkout
      in_report = Support::Proc.fds[Poolkeeper::Observed::Driver.descriptor(lent)]
    ensure
      writing_pool.checkin(lent) if lent
    end

    expect(in_report).to eq(socket) if ActiveRecord::ConnectionAdapters::AbstractAdapter.method_defined?(:clean!)
    expect(would[:dropped]).to eq(1)
    nothing_done
    expect_log(/dropped a connection before its next use \(.*mode=report/)
  end

  it "counts once, however often observing has begun" do
    3.times do
      Poolkeeper::Observed.instance_variable_set(:@observing, nil)
      Poolkeeper.observe
    end
    warm_up(1)
    primary.terminate(:all)
    wait_until { would[:evicted] == 1 }
    writing_pool.checkin(writing_pool.checkout)
    expect(would[:dropped]).to eq(1)
  end

  it "counts and says that a condemned connection would be dropped, and leaves it to its owner" do
    adapter = hold
    primary.terminate([backend_of(adapter)])
    expect(Poolkeeper.verify).to have_attributes(dropped: 0)
    expect(adapter.owner).to eq(Thread.current)
    expect(would[:dropped]).to eq(1)

    expect(Poolkeeper.release).to eq(0)
    expect(adapter.owner).to eq(Thread.current)
    nothing_done
  end

  it "condemns a demoted server's connections, and drops none" do
    warm_up(2)
    adapter = hold
    primary.read_only!(true)
    error = begin
      adapter.execute("INSERT INTO items (n) VALUES (1)")
    rescue ActiveRecord::StatementInvalid => e
      e
    end
    before = primary.backends.map(&:pid)
    expect(Poolkeeper.verify(error)).to have_attributes(fault: :demoted, dropped: 0)
    wait_until { would[:evicted] == 1 }
    expect(primary.backends.map(&:pid)).to match_array(before)
    nothing_done
  ensure
    primary.read_only!(false)
    act
    # So that the incident is closed again.
    Poolkeeper.release
    writing_pool.with_connection { |connection| connection.select_value("SELECT 1") }
    wait_until { Poolkeeper.healthy? }
  end

  it "gives way to :act at the next call: what was left is repaired then" do
    warm_up(2)
    held = hold
    pid = backend_of(held)
    held.begin_transaction(_lazy: false)
    primary.terminate(primary.backends.map(&:pid) - [pid])
    wait_until { would[:evicted] == 1 }
    expect(Poolkeeper.release).to eq(0)
    act

    expect(Poolkeeper.release).to eq(1)
    wait_until { idle_in_transaction.zero? }
    Poolkeeper::Observed::Eviction.sweep(writing_pool)
    expect(counts).to include(discarded: 1, evicted: 1)
    expect(writing_pool.with_connection { |adapter| adapter.select_value("SELECT 1") }).to eq(1)
  end

  it "says so in every event, too" do
    seen = Queue.new
    Poolkeeper.events.subscribe("connection.leaked") { |event| seen << event[:mode] }
    on_thread do
      adapter = hold
      adapter.begin_transaction
      Poolkeeper.release
      adapter.rollback_transaction
      act
      Poolkeeper.release
      hold.begin_transaction
      wait_until { seen.size == 1 }
      Poolkeeper.release
    end
    wait_until { seen.size == 2 }
    expect(Array.new(2) { seen.pop }).to eq(%i[report act])
  end
end
