# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Poolkeeper.wait_until_up", :database, :forks, :scripts do
  let(:item) { Support::Models::Item }

  def error_of
    yield
    nil
  rescue StandardError => e
    e
  end

  # @return [Array] the block's value, and how many seconds it took
  def timed
    started = Support.now
    [yield, Support.now - started]
  end

  # A job of the writing role meets the failure, as its listener learns of it.
  def meet(sql = "UPDATE items SET n = 1")
    on_thread do
      Poolkeeper.verify(error_of { hold.execute(sql) })
      Poolkeeper.release
    end
  end

  # Until the block has ended nobody gets in.
  def down
    warm_up(1)
    primary.stop
    meet
    yield
  ensure
    primary.start unless primary.running?
  end

  def demoted
    warm_up(1)
    primary.read_only!(true)
    meet
    yield
  ensure
    primary.read_only!(false)
  end

  def expect_nothing_held
    wait_until(message: -> { "nothing held: #{pools.map(&:stat)}" }) { pools.sum { |pool| pool.stat[:busy] }.zero? }
    # One that was killed needs a moment to end.
    wait_until(message: -> { "no thread of an attempt: #{Thread.list}" }) { Thread.list.size <= @threads }
  end

  before do
    Poolkeeper::Background.ensure_running
    @threads = Thread.list.size
  end

  it "is true at once while no incident is open, and connects to nothing" do
    warm_up(1)
    # Another example's server may have refused writes just now.
    Poolkeeper.wait_until_up(timeout: 5, role: :writing)
    said = primary.log_since do
      [{}, { role: :writing }, { role: "reading" }].each do |role|
        # Who has no time looks once, and tries nothing.
        expect(Poolkeeper.wait_until_up(timeout: 0, **role)).to be(true)
      end
    end
    expect(said).not_to match(dialect::LOGIN)
    expect(said).not_to match(dialect::STATEMENT)
  end

  # @return [Float] seconds until somebody who waits tries again
  def until_next_attempt
    Poolkeeper::Awaiting.attempts(writing_pool.object_id).instance_variable_get(:@due_at) - Support.now
  end

  it "is false at its timeout while the server is down, and true by its next attempt after its start" do
    down do
      expect(Poolkeeper.wait_until_up(timeout: 0)).to be(false)
      answer, seconds = timed { Poolkeeper.wait_until_up(timeout: 0.7) }
      expect(answer).to be(false)
      expect(seconds).to be >= 0.7
      expect(Poolkeeper.wait_until_up(timeout: 0.2, role: :writing)).to be(false)
      # Its own host is well: who has no time tries nothing.
      expect(Poolkeeper.wait_until_up(timeout: 0, role: :reading)).to be(true)
      waiting = Thread.new { Poolkeeper.wait_until_up(timeout: 10, role: :writing) }
      said = primary.log_since do
        primary.start
        # The longest pause, and what chance adds to it.
        expect(until_next_attempt).to be <= 1.2
        expect(waiting.value).to be(true)
      end
      expect(said.scan(dialect::CONNECTS).size).to eq(1)
      expect(Poolkeeper.healthy?).to be(true)
      expect_log(/incident closed/)
    end
    expect_nothing_held
  end

  it "has one caller try for all: five waiting for seconds log in no oftener than one would" do
    demoted do
      said = primary.log_since do
        callers = Array.new(5) { Thread.new { Poolkeeper.wait_until_up(timeout: 3, role: :writing) } }
        expect(callers.map(&:value)).to eq([false] * 5)
      end
      # After 0, 50, 150, 350, 750 ms, and each second from then on; the server has two pools of writers, one a shard.
      expect(said.scan(dialect::LOGIN).size).to be_between(3, 2 * 8)
    end
    expect_nothing_held
  end

  it "does not take a server for up that answers and refuses writes, where somebody wants to write" do
    demoted do
      answer, seconds = timed { Poolkeeper.wait_until_up(timeout: 0.5, role: :writing) }
      expect([answer, Poolkeeper.healthy?]).to eq([false, false])
      expect(seconds).to be < 1.5
      expect(Poolkeeper.wait_until_up(timeout: 0.5, role: :reading)).to be(true)
      # Whoever reads from it ends its incident: it is as much up as he needs it.
      on_thread { hold.select_value("SELECT 1") && Poolkeeper.release }
      wait_until { Poolkeeper.healthy? }
      expect(Poolkeeper.wait_until_up(timeout: 0.5, role: :writing)).to be(false)
      expect(Poolkeeper.wait_until_up(timeout: 0.5)).to be(true)
      waiting = Thread.new { Poolkeeper.wait_until_up(timeout: 30, role: "writing") }
      primary.read_only!(false)
      answer, seconds = timed { waiting.value }
      expect(answer).to be(true)
      expect(seconds).to be < 3
    end
    expect(on_thread { item.create!(n: 1) && Poolkeeper.release && rows }).to eq(1)
    expect(Poolkeeper.wait_until_up(timeout: 0, role: :writing)).to be(true)
    expect_nothing_held
  end

  it "asks no replica whether it takes writes" do
    on_thread do
      Poolkeeper.verify(error_of { hold(role: :reading).execute(dialect::WRITE_IN_DISGUISE) })
      Poolkeeper.release
    end
    expect(Poolkeeper.wait_until_up(timeout: 0)).to be(true)
  end

  it "learns from others that the server is back" do
    demoted do
      waiting = Thread.new { Poolkeeper.wait_until_up(timeout: 30) }
      expect(waiting.value).to be(true)
    end
  end

  it "ends at its timeout where the server has stopped answering, and leaves nothing behind" do
    warm_up(1)
    primary.terminate(:all)
    meet
    Poolkeeper::Incidents._fault(:dead, writing_pool.object_id, 1)
    # Nothing else ends an attempt.
    stub_const("Poolkeeper::Awaiting::ATTEMPT", Float::INFINITY)
    primary.freeze
    expect(Poolkeeper.wait_until_up(timeout: 0.5)).to be(false)
    primary.thaw
    expect(Poolkeeper.wait_until_up(timeout: 10)).to be(true)
    writing_pool.reap
    expect_nothing_held
  ensure
    primary.thaw
  end

  it "ends at its timeout where no pool of that host has a connection to give" do
    # The shard's pool leads there too, and one that gave a connection would have proven the host up.
    writers = [writing_pool, on_thread { hold(shard: :one).pool.tap { Poolkeeper.release } }]
    down do
      primary.start
      held = writers.map { |pool| [pool, Array.new(Support::Database::SIZE) { pool.checkout }] }
      expect(timed { Poolkeeper.wait_until_up(timeout: 0.5, role: :writing) }).to match([false, be < 1.5])
      held.each { |pool, adapters| adapters.each { |adapter| pool.checkin(adapter) } }
    end
    expect(Poolkeeper.wait_until_up(timeout: 10, role: :writing)).to be(true)
    expect_nothing_held
  end

  it "is ended by an interrupt while another caller tries, and by one in its own attempt; others take its place" do
    down do
      callers = Array.new(3) { Thread.new { error_of { Poolkeeper.wait_until_up(timeout: 30, role: :writing) } } }
      callers.each { |thread| thread.report_on_exception = false }
      wait_until { callers.all?(&:stop?) }
      callers[0].raise(ArgumentError, "the application's")
      callers[1].kill
      expect(callers[0].value).to be_a(ArgumentError)
      callers[1].join
      expect { Timeout.timeout(0.3) { Poolkeeper.wait_until_up(timeout: 30) } }.to raise_error(Timeout::Error)
      primary.start
      expect(timed { error_of { callers[2].join } }).to match([nil, be < 3])
    end
    expect(Poolkeeper.wait_until_up(timeout: 10)).to be(true)
    expect_nothing_held
  end

  it "works in a forked child, whose parent waits too" do
    down do
      waiting = Thread.new { Poolkeeper.wait_until_up(timeout: 30, role: :writing) }
      said = forked do
        before = Poolkeeper.wait_until_up(timeout: 0)
        meet
        during = Poolkeeper.wait_until_up(timeout: 0.3, role: :writing)
        # An attempt that was just given up may still give back.
        [before, during, wait_until { pools.sum { |pool| pool.stat[:busy] }.zero? }]
      end
      # A child knows of no incident before it meets one.
      expect(said).to eq([true, false, true])
      primary.start
      expect(waiting.value).to be(true)
    end
    expect_nothing_held
  end

  it "knows the role of a pool that nobody has used yet" do
    handler = ActiveRecord::Base.connection_handler
    handler.establish_connection(standby.config(pool: 1), role: :analytics)
    expect(Poolkeeper.wait_until_up(timeout: 0, role: :analytics)).to be(true)
  ensure
    handler.remove_connection_pool("ActiveRecord::Base", role: :analytics)
  end

  it "raises ArgumentError for what is no time or no role, and nothing else" do
    [nil, "5", Float::NAN, Complex(1, 1), :soon].each do |timeout|
      expect { Poolkeeper.wait_until_up(timeout: timeout) }.to raise_error(ArgumentError, /timeout takes seconds/)
    end
    [1, "writer", :primary, true, Object.new].each do |role|
      expect { Poolkeeper.wait_until_up(timeout: 1, role: role) }
        .to raise_error(ArgumentError, /role takes nil or one of writing, reading/)
    end
    expect([-1, 0, 2, 1e300, Float::INFINITY].map { |timeout| Poolkeeper.wait_until_up(timeout: timeout) })
      .to eq([true] * 5)
  end

  it "leaves no lease, thread or descriptor behind, however often it waited" do
    fds = -> { GC.start || Support::Proc.fds.size }
    round = lambda do
      down { Poolkeeper.wait_until_up(timeout: 0.2) }
      # Whichever pool it was that found the server up has an idle connection now.
      Poolkeeper.wait_until_up(timeout: 10) && pools.each(&:disconnect!)
    end
    round.call
    before = fds.call
    3.times { round.call }
    wait_until(message: -> { "#{before} descriptors, there are #{fds.call}" }) { fds.call <= before }
    expect_nothing_held
  end
end
