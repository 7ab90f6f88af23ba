# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Pools that come and go", :database do
  let(:base) { ActiveRecord::Base }

  # What the server sees, whatever the pools say.
  def backends
    primary.backends.size + standby.backends.size
  end

  def shape
    Poolkeeper.stats.transform_values { |pool| pool[:size] }
  end

  describe "and that nobody has used yet" do
    it "are connected by nothing that poolkeeper does in handlers" do
      listener = Poolkeeper::KarafkaListener.new
      150.times { Poolkeeper.release }
      Poolkeeper.verify
      Poolkeeper.verify(dialect.dead)
      Poolkeeper.verify(dialect.refused)
      Poolkeeper.stats
      Poolkeeper.healthy?
      listener.on_worker_completed(nil)
      listener.on_swarm_manager_before_fork(nil)
      pools.each { |pool| Poolkeeper::Observed::Eviction.sweep(pool) }

      expect(backends).to eq(0)
      expect(pools.map { |pool| pool.stat[:connections] }).to all(eq(0))
    end

    it "stay unconnected where others are in use and are released" do
      on_thread do
        hold.select_value("SELECT 1")
        Poolkeeper.verify(dialect.dead)
        Poolkeeper.release
      end
      expect(standby.backends).to be_empty
      expect(primary.backends.size).to be <= 1
    end

    it "are found when they are used at last" do
      Poolkeeper.release
      base.connects_to(shards: { default: { writing: :primary, reading: :replica },
                                 two: { writing: :one, reading: :one_replica } })
      late = hold(shard: :two)
      late.select_value("SELECT 1")

      expect(Poolkeeper.release).to eq(1)
      expect(late.in_use?).to be_falsy
    ensure
      base.connection_handler.remove_connection_pool("ActiveRecord::Base", role: :writing, shard: :two)
      base.connection_handler.remove_connection_pool("ActiveRecord::Base", role: :reading, shard: :two)
    end
  end

  describe "and are replaced by establish_connection" do
    # ActiveRecord keeps the pool where the configuration is the same.
    def replace(size)
      configurations = base.configurations.configs_for(env_name: "default_env").to_h do |config|
        [config.name, config.configuration_hash.transform_keys(&:to_s)]
      end
      configurations["primary"] = configurations["primary"].merge("pool" => size)
      base.configurations = { "default_env" => configurations }
      base.establish_connection(:primary)
    end

    it "leave their name in the statistics to the one in their place" do
      hold && Poolkeeper.release
      before = Poolkeeper.stats.keys
      replace(3)
      hold.select_value("SELECT 1")

      expect(Poolkeeper.stats.keys).to match_array(before)
      expect(shape).to include("primary writing default" => 3)
      expect(Poolkeeper.release).to eq(1)
    end

    it "do so again and again, and neither pools nor names pile up" do
      sizes = (2..9).map do |size|
        replace(size)
        warm_up(1)
        shape.fetch("primary writing default")
      end
      Poolkeeper::Observed::Walk.tidy

      expect(sizes).to eq([*2..9])
      expect(Poolkeeper.stats.keys.grep(/\Aprimary /)).to eq(["primary writing default"])
      wait_until { primary.backends.size <= 1 }
    end

    it "take no lease with them: what was out is not released twice, and the next is released" do
      old = hold
      old.select_value("SELECT 1")
      replace(4)
      expect(Poolkeeper.release).to eq(0)
      expect(old.pool).not_to equal(writing_pool)

      adapter = hold
      expect(Poolkeeper.release).to eq(1)
      expect(adapter.in_use?).to be_falsy
      expect(Poolkeeper.stats.values.sum { |pool| pool[:leases].size }).to eq(0)
    end
  end

  it "are told apart where two classes connect with the same configuration" do
    other = Class.new(base) do
      self.abstract_class = true
      def self.name = "Other"
    end
    other.connects_to(database: { writing: :primary })
    leases = [hold, other.connection_pool.checkout]
    names = Poolkeeper.stats.select { |_, pool| pool[:leases].any? }.keys

    expect(names).to contain_exactly("primary writing default", "primary writing default 2")
    other.connection_pool.checkin(leases.last)
    Poolkeeper.release
  ensure
    base.connection_handler.remove_connection_pool("Other", role: :writing, shard: :default)
  end
end
