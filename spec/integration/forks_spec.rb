# frozen_string_literal: true

require "spec_helper"

RSpec.describe "A fork", :database, :forks do
  def leases
    Poolkeeper.stats.values.sum { |pool| pool[:leases].size }
  end

  def idle
    writing_pool.connections.reject(&:in_use?)
  end

  # Takes one connection and gives it back; answers what both calls said.
  def work
    [hold.select_value("SELECT 1"), Poolkeeper.release]
  end

  def sockets(pid = "self")
    Support::Proc.fds(pid).values.grep(/\Asocket:/)
  end

  # The sockets of connections that a child still has of those that this process has.
  def shared_with(child)
    (sockets & sockets(child.pid)) - others
  end

  # The server's numbers of so many connections, taken at once.
  def backends_of_all(count = Support::Database::SIZE)
    adapters = Array.new(count) { writing_pool.checkout }
    adapters.map { |adapter| backend_of(adapter) }
  ensure
    adapters&.each { |adapter| writing_pool.checkin(adapter) }
  end

  # What the suite itself has open, before anything is connected.
  let!(:others) { sockets }
  let!(:held) { hold }
  let!(:held_pid) { backend_of(held) }
  let!(:idle_pids) do
    adapters = Array.new(3) { writing_pool.checkout }
    pids = adapters.map { |adapter| backend_of(adapter) }
    adapters.each { |adapter| writing_pool.checkin(adapter) }
    pids
  end

  it "gives the child an empty mirror: nothing of the parent's is released there" do
    expect(forked { [leases, Poolkeeper.release, Poolkeeper.stats.values.map { |pool| pool[:idle] }.sum] })
      .to eq([0, 0, 0])
  end

  it "leaves the child able to take, release and be counted, with server processes of its own" do
    said = forked do
      pid = backend_of(hold)
      counted = counts[:leases].size
      [pid, counted, Poolkeeper.release, leases, writing_pool.stat[:busy], counts[:mirror_misses]]
    end
    expect(said.drop(1)).to eq([1, 1, 0, 0, 0])
    expect([held_pid, *idle_pids]).not_to include(said.first)
  end

  it "leaves the child a poolkeeper thread that evicts what the server closes" do
    said = forked do
      pids = Array.new(2) { writing_pool.checkout }.map { |adapter| [adapter, backend_of(adapter)] }
      pids.each { |adapter, _| writing_pool.checkin(adapter) }
      primary.terminate(pids.map(&:last))
      wait_until(message: "evicted in the child") { writing_pool.connections.empty? }
      [Support::Proc.threads.values.grep(/\Apoolkeeper\z/).size, counts[:evicted]]
    end
    expect(said).to eq([1, 2])
  end

  it "leaves the child its log, its subscribers and its repair of leaks" do
    seen = Queue.new
    Poolkeeper.events.subscribe("connection.leaked") { |event| seen << event[:pool] }
    said = forked do
      hold.begin_transaction
      hold.execute("INSERT INTO items (n) VALUES (1)")
      released = Poolkeeper.release
      expect_log(/a transaction was left open/)
      wait_until(message: "the server has rolled back") { idle_in_transaction.zero? }
      [released, seen.pop]
    end
    expect(said).to eq([1, "primary writing default"])
    expect(rows).to eq(0)
  end

  it "lets children fork too" do
    expect(forked { forked { [leases, hold.select_value("SELECT 7"), Poolkeeper.release] } }).to eq([0, 7, 1])
    expect(backend_of(held)).to eq(held_pid)
  end

  describe "leaves the parent untouched:" do
    it "its lease goes on working, its idle connections stay, and both are still its own" do
      3.times { forked { work } }

      expect(backend_of(held)).to eq(held_pid)
      wait_until { primary.backends.size == 4 }
      expect(primary.backends.map(&:pid)).to contain_exactly(held_pid, *idle_pids)
      expect(Poolkeeper.release).to eq(1)
      expect(counts).to include(discarded: 0, evicted: 0, dropped: 0, mirror_misses: 0)
    end

    it "its idle connections are evicted when they die, while a child lives that inherited them" do
      staying(-> { work }) do
        primary.terminate(idle_pids)
        wait_until(message: "evicted in the parent") { writing_pool.connections == [held] }
      end
      expect(backend_of(held)).to eq(held_pid)
      expect(counts[:evicted]).to eq(3)
    end

    it "its transaction goes on, and commits whole, whatever the child writes meanwhile" do
      item = Support::Models::Item
      item.transaction do
        item.create!(n: 1)
        expect(forked { [Poolkeeper.release, item.create!(n: 3).n, Poolkeeper.release] }.first(2)).to eq([0, 3])
        expect(rows).to eq(1)
        item.create!(n: 2)
      end
      expect(rows).to eq(3)
    end

    it "its incident stays open and ends by itself, while the child knows nothing of it" do
      primary.terminate(idle_pids)
      # They hang up one by one, and a loaded machine takes its time between them.
      Poolkeeper::Incidents._fault(:dead, writing_pool.object_id, 1)
      wait_until(message: "an incident") { !Poolkeeper.healthy? }
      expect(forked { [Poolkeeper.healthy?, *work, Poolkeeper.healthy?] }).to eq([true, 1, 1, true])

      expect(Poolkeeper.healthy?).to be(false)
      on_thread { work }
      expect(Poolkeeper.healthy?).to be(true)
      expect_log(/incident closed/)
    end
  end

  describe "shares no socket" do
    it "with the child, which has its own" do
      staying(-> { [hold(role: :reading), warm_up(2)] && backend_of(hold) }) do |child|
        expect(shared_with(child)).to eq([])
        expect(Support::Proc.sockets_to(primary.port, child.pid)).to eq(2)
        expect(Support::Proc.sockets_to(primary.port)).to eq(4)
        expect(primary.backends.map(&:pid)).to include(held_pid, child.value, *idle_pids)
      end
      wait_until(message: "the child's are gone") { primary.backends.size == 4 && standby.backends.empty? }
      expect(backend_of(held)).to eq(held_pid)
    end

    it "even one that has left its pool, to whose server the child can say no goodbye" do
      removed = writing_pool.checkout
      pid = backend_of(removed)
      writing_pool.remove(removed)
      staying(-> { removed.disconnect! }) do |child|
        expect(shared_with(child)).to eq([])
      end
      expect(backend_of(removed)).to eq(pid)
    ensure
      removed.disconnect!
    end

    it "and none is watched by both" do
      staying(-> { warm_up(2) && work }) do |child|
        own = Support::Proc.inodes_to(primary.port, child.pid)
        expect(Support::Proc.watched_inodes(child.pid)).to include(*own)
        expect(Support::Proc.watched_inodes & own).to eq([])
        expect(Support::Proc.watched_inodes(child.pid) & Support::Proc.inodes_to(primary.port)).to eq([])
      end
    end
  end

  describe "in the middle of an eviction" do
    let(:entered) { Queue.new }
    let(:go_on) { Queue.new }
    # Kept, so that in the child nobody but Poolkeeper closes it: the collector would.
    let!(:victim) { idle.first }

    # The poolkeeper thread stays where it is about to close the connection: out of its pool, and still open.
    before do
      entered = self.entered
      go_on = self.go_on
      victim.define_singleton_method(:disconnect!) do
        entered << true
        go_on.pop
        super()
      end
      primary.terminate([idle_pids[idle.index(victim)]])
      entered.pop
    end

    it "leaves both working: the child has no part in it, and the parent ends it" do
      said = lambda do
        primary.terminate(backends_of_all)
        wait_until(message: "evicted in the child") { writing_pool.connections.empty? }
        work + [counts[:evicted]]
      end
      staying(said) do |child|
        expect(child.value).to eq([1, 1, 5])
        expect(shared_with(child)).to eq([])
        expect(Support::Proc.sockets_to(primary.port, child.pid)).to eq(1)
      end
      go_on << true
      wait_until(message: "closed in the parent") { Support::Proc.sockets_to(primary.port) == 3 }
      primary.terminate(idle_pids)
      wait_until(message: "and the thread goes on") { writing_pool.connections == [held] }
      expect(backend_of(held)).to eq(held_pid)
    ensure
      go_on << true
    end
  end

  describe "in the middle of ActiveRecord's own work" do
    # An application's callback, run once, in the middle of ActiveRecord's own work.
    def within(event, adapter, callback)
      once = [callback]
      adapter.singleton_class.set_callback(event, :before) { once.pop&.call }
    end

    it "such as a checkout, leaves the child working and the checkout whole" do
      said = []
      within(:checkout, idle.last, -> { said << forked { [leases, *work, leases] } })
      adapters = Array.new(3) { writing_pool.checkout }

      expect(said).to eq([[0, 1, 1, 0]])
      expect(adapters.map { |adapter| backend_of(adapter) }).to match_array(idle_pids)
      adapters.each { |adapter| writing_pool.checkin(adapter) }
      expect(counts).to include(mirror_misses: 0, dropped: 0)
    end

    it "such as a release, lets both go on from there, each with what is its own" do
      said, says = IO.pipe
      pid = nil
      within(:checkin, held, -> { pid = Process.fork })
      released = Poolkeeper.release
      in_child(says) { [released, leases, *work] } unless pid
      says.close

      expect(released).to eq(1)
      expect(Marshal.load(said.read)).to eq([0, 0, 1, 1]) # rubocop:disable Security/MarshalLoad -- our own child's
      Process.wait(pid)
      expect(backends_of_all(4)).to match_array([held_pid, *idle_pids])
    ensure
      [said, says].each(&:close)
    end

    it "such as many threads' checkouts and checkins, leaves every child and every thread working" do
      Poolkeeper.release
      done = false
      threads = Array.new(4) { Thread.new { [work] until done }.tap { |thread| thread.report_on_exception = false } }
      children = Array.new(40) { forked { [leases, *work, counts[:mirror_misses]] } }
      done = true
      threads.each(&:join)

      expect(children.uniq).to eq([[0, 1, 1, 0]])
      expect([leases, writing_pool.stat[:busy]]).to eq([0, 0])
      expect(counts).to include(mirror_misses: 0, discarded: 0, evicted: 0, dropped: 0)
      expect(backends_of_all - primary.backends.map(&:pid)).to eq([])
    end

    it "such as hang-ups that come in, leaves every child and the parent working" do
      children = Array.new(10) do
        pids = warm_up(4).map { |adapter| backend_of(adapter) } - [held_pid]
        killer = Thread.new { primary.terminate(pids) }
        said = Array.new(3) { forked { work } }
        killer.join
        wait_until(message: "evicted") { writing_pool.connections == [held] }
        said
      end
      expect(children.flatten(1).uniq).to eq([[1, 1]])
      expect(backend_of(held)).to eq(held_pid)
    end
  end

  describe "by a subscriber, on the poolkeeper thread" do
    it "leaves the child a poolkeeper thread of its own, and the parent its own" do
      said = Queue.new
      evicting = lambda do
        pids = warm_up(2).map { |adapter| backend_of(adapter) }
        primary.terminate(pids)
        wait_until(message: "evicted in the child") { writing_pool.connections.empty? }
        work
      end
      # Subscriptions last, and other examples leak too.
      once = [true]
      Poolkeeper.events.subscribe("connection.leaked") { said << error_or_value { forked(&evicting) } if once.pop }
      on_thread { hold.begin_transaction && Poolkeeper.release }

      value = said.pop
      value.is_a?(Exception) ? raise(value) : expect(value).to(eq([1, 1]))

      primary.terminate(idle_pids)
      # One of them was replaced when it leaked.
      wait_until(message: "evicted in the parent") { counts[:evicted] == 2 }
      # They are counted before they are closed.
      wait_until { Support::Proc.sockets_to(primary.port) == 1 }
    end
  end
end

RSpec.describe "A fork before which ActiveSupport was loaded", :database, :scripts do
  it "has its callbacks called once, though they call poolkeeper" do
    said = answers(<<~RUBY, Support::Scripts::CONNECT, Support::Scripts::POOLKEEPER, database: primary.config(pool: 5))
      hold.select_value("SELECT 1")
      calls = 0
      ActiveSupport::ForkTracker.after_fork { (calls += 1) && Poolkeeper.release }
      reader, writer = IO.pipe
      pid = fork do
        hold.select_value("SELECT 1")
        writer.puts([calls, Poolkeeper.release].join(" "))
      end
      Process.wait(pid)
      say(child: reader.gets.split.map(&:to_i), parent: hold.select_value("SELECT 1"))
    RUBY
    expect(said).to eq(child: [1, 1], parent: 1)
    expect(script_errors).not_to match(/forked in C/)
  end
end

RSpec.describe "A daemon", :database, :scripts do
  it "goes on with the connections it has: what it holds is released, and what is idle is evicted when it dies" do
    said = answers(<<~RUBY, Support::Scripts::CONNECT, Support::Scripts::TERMINATE, Support::Scripts::POOLKEEPER,
      hold.select_value("SELECT 1")
      others = Array.new(2) { pool.checkout.tap { |adapter| adapter.select_value("SELECT 1") } }
      others.each { |adapter| pool.checkin(adapter) }
      before = Process.pid
      Process.daemon(true, true)
      said = { another: Process.pid != before, value: hold.select_value("SELECT 7"), released: Poolkeeper.release }
      terminate
      wait_until(message: "evicted") { pool.connections.empty? }
      say(**said, again: hold.select_value("SELECT 1") + Poolkeeper.release,
                  misses: Poolkeeper.stats.values.sum { |stats| stats[:mirror_misses] })
    RUBY
                   database: primary.config(pool: Support::Database::SIZE))
    expect(said).to eq(another: true, value: 7, released: 1, again: 2, misses: 0)
  end
end
