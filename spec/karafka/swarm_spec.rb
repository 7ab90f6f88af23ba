# frozen_string_literal: true

require "spec_helper"
require_relative "../support/karafka_monitor"
require_relative "../support/karafka_worker"
require_relative "../support/resources"

# A supervisor forks its nodes when it starts, and again for each that has died, hours later.
RSpec.describe "A swarm", :database, :forks do
  let(:monitor) { Support::KarafkaMonitor.new }
  let(:scenarios) { Support::KarafkaScenarios }
  let(:shard_one) { ActiveRecord::Base.connected_to(role: :writing, shard: :one) { writing_pool } }

  before { monitor.subscribe(Poolkeeper::KarafkaListener.new) }

  def before_fork
    monitor.instrument("swarm.manager.before_fork", { caller: self, node: 0 })
  end

  # What a node's child begins with.
  def after_fork
    monitor.instrument("swarm.node.after_fork", { caller: self })
  end

  def work
    [hold.select_value("SELECT 1"), Poolkeeper.release]
  end

  def leak
    hold.begin_transaction(_lazy: false)
    Poolkeeper.release
  end

  # Connections to both servers, as they count them.
  def connected
    primary.backends.size + standby.backends.size
  end

  def size_of_process
    Support::Resources.collect
    { descriptors: Support::Proc.fds.size, mirror: Poolkeeper::Core._sizes.first,
      threads: Support::Proc.threads.size, rss: Support::Proc.rss }
  end

  it "leaves its supervisor no idle connection when it forks, in any role or shard" do
    pools.each { |pool| warm_up(2, pool: pool) }
    expect(connected).to eq(8)
    before_fork

    wait_until(message: "all are closed") { connected.zero? }
    expect(Support::Proc.sockets_to(primary.port) + Support::Proc.sockets_to(standby.port)).to eq(0)
    expect(work).to eq([1, 1])
  end

  it "leaves it what somebody uses, and closes that at the next fork" do
    held = on_own_thread { hold }
    other = backend_of(held[:adapter])
    before_fork
    wait_until { connected == 1 }
    expect(backend_of(held[:adapter])).to eq(other)

    held[:end].call
    before_fork
    wait_until(message: "closed when nobody used it") { connected.zero? }
  end

  # A connection in the hands of another thread, and how to have it given back.
  def on_own_thread
    taken = Queue.new
    done = Queue.new
    thread = Thread.new do
      taken << yield
      done.pop
      Poolkeeper.release
    end
    { adapter: taken.pop, end: -> { (done << true) && thread.join } }
  end

  it "closes nothing with mode :report" do
    warm_up(2)
    Poolkeeper.configure { |config| config.mode = :report }
    before_fork
    expect(connected).to eq(2)
  end

  it "leaves its supervisor as it was, two hundred forks later, whatever that takes in between" do
    node = lambda do
      after_fork
      work
    end
    round = lambda do |number|
      work
      adapters = Array.new(number % 3) { shard_one.checkout.tap { |adapter| adapter.select_value("SELECT 1") } }
      adapters.each { |adapter| shard_one.checkin(adapter) }
      before_fork
      wait_until(message: "all are closed") { connected.zero? } if (number % 20).zero?
      # Every node is a process; what it does is tried with some.
      status = number % 10 == 1 ? forked(&node) : scenarios.forks(monitor, rounds: 1).map(&:exitstatus)
      monitor.instrument("swarm.manager.after_fork", { caller: self, node: number })
      status
    end
    # As many until the heap has the size that this takes.
    100.times(&round)
    sizes = [size_of_process]
    said = (0...200).each_slice(40).flat_map do |part|
      part.map(&round).tap { sizes << size_of_process }
    end
    before, after = sizes.values_at(0, -1)

    expect(said.uniq).to contain_exactly([0], [1, 1])
    expect(after[:mirror]).to eq(before[:mirror])
    # What earlier examples left to the collector may go meanwhile, and Ruby keeps threads that have ended for a while.
    expect(after[:descriptors]).to be <= before[:descriptors]
    expect(after[:threads]).to be <= before[:threads]
    expect(Support::Resources.growth(sizes.map { |size| size[:rss] })).to be < Support::Resources::MEMORY
    pids = warm_up(3).map { |adapter| backend_of(adapter) }
    primary.terminate(pids)
    wait_until(message: "its watch is at work") { writing_pool.connections.empty? }
  end

  it "tells each node's subscribers once, in whichever generation" do
    told = Queue.new
    Poolkeeper.events.subscribe("connection.leaked") { |event| told << event[:pool] }
    nodes = Array.new(3) do
      before_fork
      forked do
        after_fork
        2.times { leak }
        expect_log(/a transaction was left open.*a transaction was left open/m)
        Poolkeeper::Events.tell("release.kept", reason: "the end")
        expect_log(/the end/)
        [Array.new(told.size) { told.pop }, log_text.scan("a transaction was left open").size]
      end
    end

    expect(nodes).to eq([[["primary writing default"] * 2, 2]] * 3)
    leak
    expect(told.pop).to eq("primary writing default")
    expect(told).to be_empty
  end

  it "has each node evict what the server closes by itself, with no job involved" do
    2.times do
      before_fork
      said = forked do
        after_fork
        primary.terminate(warm_up(3).map { |adapter| backend_of(adapter) })
        wait_until(message: "evicted in the node") { writing_pool.connections.empty? }
        counts[:evicted]
      end
      expect(said).to eq(3)
    end
  end

  it "forks a node that was killed in the middle of its work again, and the supervisor is none the wiser" do
    held = hold
    pid = backend_of(held)
    before_fork
    dying = lambda do
      after_fork
      hold.begin_transaction(_lazy: false)
      Support::Models::Item.create!(n: 1)
    end
    2.times do
      staying(dying) do |child|
        wait_until(message: "in the middle of it") { connected == 2 }
        Process.kill(:KILL, child.pid)
      end
      wait_until(message: "the server has noticed") { connected == 1 }
      expect(forked { after_fork || work }).to eq([1, 1])
    end

    wait_until { connected == 1 }
    expect(backend_of(held)).to eq(pid)
    expect(rows).to eq(0)
    expect(counts).to include(evicted: 0, discarded: 0, dropped: 0, mirror_misses: 0)
  end

  it "changes nothing by swarm.node.after_fork where nothing was forked, nor by a second one in a node" do
    held = hold
    warm_up(2)
    pids = primary.backends.map(&:pid)
    3.times { after_fork }
    expect([primary.backends.map(&:pid), counts[:leases].size, held.in_use?]).to match([pids, 1, be_truthy])

    said = forked do
      after_fork
      adapter = hold
      pid = backend_of(adapter)
      3.times { after_fork }
      [backend_of(adapter) == pid, counts[:leases].size, Poolkeeper.release, counts[:mirror_misses]]
    end
    expect(said).to eq([true, 1, 1, 0])
    expect(Poolkeeper.release).to eq(1)
  end
end
