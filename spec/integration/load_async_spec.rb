# frozen_string_literal: true

require "spec_helper"

RSpec.describe "load_async", :database, :scripts do
  # The executor is chosen before the pool is made, so each scenario has a process of its own.
  def script(source)
    executor = <<~RUBY
      require "active_record"
      if ActiveRecord.respond_to?(:async_query_executor=)
        ActiveRecord.async_query_executor = :global_thread_pool
        ActiveRecord.global_executor_concurrency = 3
      end
    RUBY
    before = [executor, Support::Scripts::CONNECT, Support::Scripts::TERMINATE, Support::Scripts::POOLKEEPER]
    answers(source, *before, database: primary.config(pool: 5))
  end

  before { primary.sql("INSERT INTO items (n) VALUES #{(1..100).map { |n| "(#{n})" }.join(", ")}") }

  def async?
    ActiveRecord::Relation.method_defined?(:load_async)
  end

  it "answers what it should and leaves nothing leased, on the caller's thread or the executor's" do
    said = script(<<~RUBY)
      say(exists: false) || exit unless Item.all.respond_to?(:load_async)

      async = Queue.new
      ActiveSupport::Notifications.subscribe("sql.active_record") { |event| async << 1 if event.payload[:async] }
      sums = Array.new(40) do |round|
        relations = Array.new(5) { |part| Item.where(n: (part * 20 + 1)..(part * 20 + 20)).load_async }
        hold if round.odd?
        relations.sum { |relation| relation.sum(&:n) }.tap { Poolkeeper.release }
      end
      wait_until { pool.stat[:busy].zero? }
      120.times { Poolkeeper.release }
      stats = Poolkeeper.stats.values.first
      say(exists: true, sums: sums.uniq, async: async.size.positive?, leases: stats[:leases].size,
          misses: stats[:mirror_misses], discarded: stats[:discarded], connections: pool.stat[:connections] <= 5)
    RUBY
    expected = { exists: true, sums: [5_050], async: true, leases: 0, misses: 0, discarded: 0, connections: true }
    expect(said).to eq(async? ? expected : { exists: false })
  end

  it "goes on after the server ended every connection of the executor" do
    said = script(<<~RUBY)
      say(exists: false) || exit unless Item.all.respond_to?(:load_async)

      ask = -> { Array.new(5) { Item.where(n: 1..50).load_async }.sum { |relation| relation.to_a.size } }
      before = ask.call
      wait_until { pool.stat[:busy].zero? }
      terminate
      after = ask.call
      say(exists: true, before: before, after: after)
    RUBY
    expect(said).to eq(async? ? { exists: true, before: 250, after: 250 } : { exists: false })
  end
end
