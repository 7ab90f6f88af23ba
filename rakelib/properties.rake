# frozen_string_literal: true

# What the random test runs on: each ActiveRecord that bin/platform/activerecord has laid out, and each family of
# servers that the suite knows.
module Properties
  SEEDS = [1, 2].freeze
  STEPS = 50_000

  class << self
    # @return [Array<String>]
    def versions
      ENV.fetch("POOLKEEPER_ACTIVERECORD", "6.1 7.2").split
    end

    # @return [Array<String>]
    def databases
      ENV.fetch("POOLKEEPER_DATABASE", "postgresql mariadb").split
    end

    # @return [Array<Array(Integer, Integer)>] seed and steps of each run
    def runs
      seeds = ENV.key?("SEED") ? [Integer(ENV.fetch("SEED"))] : SEEDS
      seeds.map { |seed| [seed, Integer(ENV.fetch("STEPS", STEPS))] }
    end
  end
end

desc "100,000 random operations on each ActiveRecord, the mirror compared after each (SEED=1 STEPS=50000 for one run)"
task properties: :compile do
  Properties.databases.product(Properties.versions, Properties.runs) do |database, version, (seed, steps)|
    puts "#{database}, ActiveRecord #{version}, seed #{seed}: #{steps} steps"
    sh(active_record_environment(version).merge("POOLKEEPER_DATABASE" => database, "MALLOC_ARENA_MAX" => "2"),
       "ruby", "-Ilib", "spec/properties/run.rb", seed.to_s, steps.to_s, verbose: false)
  end
end
