# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Fibers", :database, :scripts do
  # ActiveRecord 6.1 knows no isolation level: there the owner is the thread, whatever fiber asks.
  level = "ActiveSupport::IsolatedExecutionState.isolation_level = :fiber " \
          "if defined?(ActiveSupport::IsolatedExecutionState)"

  def script(source)
    answers(source, level_of_fibers, Support::Scripts::CONNECT, Support::Scripts::POOLKEEPER,
            database: primary.config(pool: 5))
  end

  define_method(:level_of_fibers) { "require 'active_record'\n#{level}" }

  def owned_by_fibers?
    ActiveRecord::ConnectionAdapters::AbstractAdapter.method_defined?(:clean!)
  end

  it "keep what they hold when the worker's fiber releases, where fibers own connections" do
    said = script(<<~RUBY)
      root = hold
      other = Fiber.new do
        adapter = hold
        Fiber.yield(adapter)
        adapter.select_value("SELECT 2")
      end
      theirs = other.resume
      owner = theirs.owner
      released = Poolkeeper.release
      say(owner: owner.class.name, own: owner.equal?(other), same: theirs.equal?(root), released: released,
          mine: !!root.in_use?, theirs: !!theirs.in_use?, busy: pool.stat[:busy], goes_on: other.resume)
    RUBY
    expect(said).to eq(
      if owned_by_fibers?
        { owner: "Fiber", own: true, same: false, released: 1, mine: false, theirs: true, goes_on: 2, busy: 1 }
      else
        { owner: "Thread", own: false, same: true, released: 1, mine: false, theirs: false, goes_on: 2, busy: 0 }
      end
    )
  end

  it "give back their own at their own release, and the mirror has missed nothing after a walk" do
    said = script(<<~RUBY)
      fibers = Array.new(3) { Fiber.new { hold.select_value("SELECT 1") && Fiber.yield; Poolkeeper.release } }
      fibers.each(&:resume)
      busy = pool.stat[:busy]
      released = fibers.map(&:resume)
      120.times { hold && Poolkeeper.release }
      stats = Poolkeeper.stats.values.first
      say(busy: busy, released: released, left: pool.stat[:busy], leases: stats[:leases].size,
          misses: stats[:mirror_misses])
    RUBY
    expected = owned_by_fibers? ? { busy: 3, released: [1, 1, 1] } : { busy: 1, released: [1, 0, 0] }
    expect(said).to eq(expected.merge(left: 0, leases: 0, misses: 0))
  end

  it "commit whole what they began, though the worker's fiber released in the middle" do
    script(<<~RUBY)
      block = Fiber.new do
        Item.transaction do
          Item.create!(n: 1)
          Fiber.yield
          Item.create!(n: 2)
        end
        Poolkeeper.release
      end
      block.resume
      Poolkeeper.release
      block.resume
      say(busy: pool.stat[:busy])
    RUBY
    expect(rows).to eq(2)
    expect(primary.backends(state: /in transaction/)).to be_empty
    expect(script_errors).not_to match(/discarded|left open/)
  end

  it "leave no connection behind that a fiber took and forgot: its name is in the statistics" do
    said = script(<<~RUBY)
      other = Fiber.new { hold && Fiber.yield(hold.owner.object_id) }
      owner = other.resume
      leases = Poolkeeper.stats.values.first[:leases]
      say(owner: owner, owners: leases.map { |lease| lease[:owner] })
    RUBY
    expect(said[:owners]).to eq([said[:owner]])
  end

  describe "where threads own connections" do
    it "may give back what their thread holds, for it is nobody else's" do
      adapter = hold
      released = Enumerator.new { |results| results << Poolkeeper.release }.next

      expect(released).to eq(1)
      expect(adapter.in_use?).to be_falsy
    end

    it "may take what their thread gives back afterwards" do
      adapter = Enumerator.new { |results| results << hold }.next
      expect(adapter.owner).to eq(Thread.current)

      expect(Poolkeeper.release).to eq(1)
      expect(writing_pool.stat[:busy]).to eq(0)
    end

    it "commit whole what they began on the connection of their thread" do
      item = Support::Models::Item
      hold
      block = Fiber.new do
        item.transaction do
          item.create!(n: 1)
          Fiber.yield
          item.create!(n: 2)
        end
      end
      block.resume
      Poolkeeper.release
      block.resume
      Poolkeeper.release
      expect(rows).to eq(2)
    end

    it "may leave a raw BEGIN behind, which is then left to the thread's own fiber", only: :postgresql do
      adapter = hold
      adapter.execute("BEGIN")
      expect(Enumerator.new { |results| results << Poolkeeper.release }.next).to eq(0)
      expect(idle_in_transaction).to eq(1)

      expect(Poolkeeper.release).to eq(1)
      wait_until { idle_in_transaction.zero? }
    end
  end
end
