# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Poolkeeper.stats", :database do
  counters = %i[released discarded evicted dropped severed expired leaked kept mirror_misses]

  def stats(name = "primary writing default")
    Poolkeeper.stats.fetch(name)
  end

  before { hold.select_value("SELECT 1") && Poolkeeper.release }

  it "has a Hash for each pool, by a name that tells configuration, role and shard" do
    [%i[reading default], %i[writing one], %i[reading one]].each { |role, shard| hold(role: role, shard: shard) }
    Poolkeeper.release
    expect(Poolkeeper.stats.keys).to contain_exactly(
      "primary writing default", "replica reading default", "one writing one", "one_replica reading one"
    )
    expect(stats("one_replica reading one")).to include(role: :reading, shard: :one)
  end

  it "has the documented keys and no others, of the documented types" do
    expect(stats.keys).to match_array(%i[role shard host condemned leases size idle leased waiting would] + counters)
    expect(stats.values_at(:size, :idle, :leased, :waiting, :condemned, *counters)).to all(be_an(Integer))
    expect(stats[:would].keys).to match_array(counters)
    expect(stats[:would].values).to all(eq(0))
    expect(stats).to include(role: :writing, shard: :default, host: "127.0.0.1:#{primary.port}", size: 5)
  end

  it "counts as another client of the server does" do
    warm_up(3)
    hold.execute("BEGIN")
    expect(stats).to include(idle: 2, leased: 1, waiting: 0)
    expect(primary.backends.size).to eq(stats[:idle] + stats[:leased])
    expect(idle_in_transaction).to eq(stats[:leased])
    hold.execute("ROLLBACK")
  end

  it "tells who holds what, and for how long" do
    began = Support.now
    hold
    held = Support.now
    wait_until { Support.now - held > 0.02 }
    lease = stats[:leases].first

    expect(stats[:leases].size).to eq(1)
    expect(lease).to match(owner: Thread.current.object_id, seconds: an_instance_of(Float))
    expect(lease[:seconds]).to be_between(0.02, Support.now - began)
    Poolkeeper.release
    expect(stats[:leases]).to eq([])
  end

  it "counts who waits" do
    holders = Array.new(5) { writing_pool.checkout }
    waiter = Thread.new { writing_pool.with_connection { |adapter| adapter.select_value("SELECT 1") } }
    wait_until { stats[:waiting] == 1 }
    holders.each { |adapter| writing_pool.checkin(adapter) }
    waiter.join
    expect(stats[:waiting]).to eq(0)
  end

  it "counts what was done, each thing where it belongs" do
    before = stats
    on_thread do
      hold && Poolkeeper.release
      hold.begin_transaction
      Poolkeeper.release
      Support::Models::Item.transaction { hold && Poolkeeper.release }
      Poolkeeper.release
    end
    warm_up(2)
    # What was discarded is gone for the server when it gets to it.
    wait_until { primary.backends.size == writing_pool.connections.size }
    there = primary.backends.size
    primary.terminate(:all)
    wait_until { stats[:evicted] - before[:evicted] == there }
    after = stats
    expect(counters.to_h { |counter| [counter, after[counter] - before[counter]] })
      .to include(leaked: 1, discarded: 1, kept: 1, evicted: there, dropped: 0, expired: 0, mirror_misses: 0)
    others = Poolkeeper.stats.reject { |name, _| name == "primary writing default" }
    expect(others.values.flat_map { |pool| pool.values_at(*counters) }).to all(eq(0))
  end

  it "counts a condemned connection while it is there" do
    adapter = hold
    primary.terminate([backend_of(adapter)])
    wait_until { stats[:condemned] == 1 }
    Poolkeeper.release
    expect(stats[:condemned]).to eq(0)
  end

  it "is a copy: whoever changes it changes nothing" do
    Poolkeeper.stats.each_value { |pool| pool[:leases] << 1 && pool.clear }
    Poolkeeper.stats.clear
    expect(stats).to include(size: 5)
  end

  it "connects to nothing and takes no lease" do
    there = primary.backends.size
    100.times { Poolkeeper.stats }
    expect(primary.backends.size).to eq(there)
    expect(pools.sum { |pool| pool.stat[:busy] }).to eq(0)
    expect(standby.backends).to be_empty
  end
end
