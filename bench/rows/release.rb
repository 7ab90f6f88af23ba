# frozen_string_literal: true

module Bench
  # A release of nothing: what every job of every worker pays, and listener threads all the time.
  class Release
    ROUNDS = 150
    # So many that the walk through all pools, which now and then a release makes, is in every round.
    TURNS = 1_000
    TIMES_CHEAPER = 20
    SHARDS = { one: { writing: :one, reading: :one_replica }, two: { writing: :two, reading: :two_replica } }.freeze

    # @param node [Support::Postgres::Node]
    # @return [Array<Result>]
    def call(node)
      nothing, ours, theirs = Child.run(->(line) { measure(line, node.config(pool: 5)) }, &:hear)
      # What the loop costs is no part of either.
      ours, theirs = [ours, theirs].map { |rounds| rounds.zip(nothing).map { |round, loop| round - loop } }
      puts "  Poolkeeper.release          median #{Clock.median(ours).round} ns (#{Clock.spread(ours)})"
      puts "  clear_active_connections!   median #{Clock.median(theirs).round} ns (#{Clock.spread(theirs)})"
      [result(Clock.median(ours), Clock.median(theirs))]
    end

    private

    def measure(line, config)
      require "poolkeeper"
      visit_pools(config)
      Poolkeeper.observe
      turns = [-> {}, -> { Poolkeeper.release },
               -> { ActiveRecord::Base.connection_handler.clear_active_connections!(:all) }]
      rounds = turns.map { [] }
      ROUNDS.times do |round|
        # Small rounds in changing order: whatever else keeps the cores busy meets all of them.
        turns.each_index.to_a.rotate(round).each { |index| rounds[index] << Clock.per_turn(TURNS, &turns[index]) }
      end
      line.tell(rounds)
    end

    # Leaves one idle connection in each of the four pools.
    def visit_pools(config)
      databases = SHARDS.values.flat_map(&:values)
      ActiveRecord::Base.configurations = { "default_env" => databases.to_h { |name| [name.to_s, config] } }
      ActiveRecord::Base.connects_to(shards: SHARDS)
      SHARDS.each do |shard, roles|
        roles.each_key do |role|
          ActiveRecord::Base.connected_to(role:, shard:) do
            ActiveRecord::Base.connection_pool.with_connection { |connection| connection.execute("SELECT 1") }
          end
        end
      end
    end

    def result(ours, theirs)
      Result.new(what: "release with nothing held, 2 roles x 2 shards", poolkeeper: "#{ours.round} ns",
                 beside: "`clear_active_connections!` #{theirs.round} ns", ratio: format("%.1f", theirs / ours),
                 target: "#{TIMES_CHEAPER} times cheaper", met: theirs >= ours * TIMES_CHEAPER)
    end
  end
end
