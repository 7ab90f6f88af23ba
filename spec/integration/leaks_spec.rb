# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Leak reports", :database, :forks, :scripts do
  let(:item) { Support::Models::Item }

  around do |example|
    before = Poolkeeper.events.instance_variable_get(:@subscribers).dup
    Poolkeeper.events.subscribe("connection.leaked") { |event| told << event }
    example.run
  ensure
    Poolkeeper.events.instance_variable_set(:@subscribers, before)
  end

  # Of this example's owners: what another example has left behind may be told late.
  let(:told) { [] }

  def told_of(owner)
    told.select { |event| event[:owner] == owner.object_id }
  end

  def report_after(seconds)
    Poolkeeper.configure { |config| config.leak_threshold = seconds }
  end

  # @return [Poolkeeper::Events::Event] the report of this owner's lease
  def report_of(owner)
    wait_until(message: "a report of the lease of #{owner.object_id}") { told_of(owner).first }
  end

  # Ends when all that was to be told by now has been carried, and answers what of it is this owner's.
  def told_by_now(owner)
    carried = Queue.new
    Poolkeeper.events.subscribe("release.kept") { |event| carried << event[:reason] }
    Poolkeeper::Events.tell("release.kept", reason: "the mark")
    wait_until { carried.pop == "the mark" }
    told_of(owner)
  end

  def borrow_somewhere
    hold
  end

  # A thread that takes a connection, and gives it back when the door opens.
  def borrower(partition: nil)
    Thread.new do
      Poolkeeper::Mirror._job(Thread.current.object_id, "orders", partition) if partition
      adapter = borrow_somewhere
      yield adapter if block_given?
      door.pop
      Poolkeeper.release
    end
  end

  let(:door) { Queue.new }

  it "say who has a connection, since when and where he took it: once, in one line, and leave it to him" do
    report_after(0.05)
    pids = Queue.new
    job = borrower(partition: 3) { |adapter| pids << backend_of(adapter) }
    event = report_of(job)
    pid = pids.pop
    expect(event.payload).to include(pool: "primary writing default", role: "writing", shard: "default",
                                     host: "127.0.0.1:#{primary.port}", topic: "orders", partition: 3,
                                     reason: "held for longer than leak_threshold")
    expect(event[:seconds]).to be_between(0.05, 5)
    # A second lease, which is due later: the first is not told with it.
    other = borrower
    report_of(other)
    expect(told_by_now(job)).to eq([event])
    expect(primary.backends.map(&:pid)).to include(pid)
    lines = log_text.lines.grep(/owner=#{job.object_id}\b/)
    expect(lines).to contain_exactly(match(/WARN.*a connection was not given back .*leaks_spec\.rb:\d+/))
    door.close
    expect([job, other].map(&:value)).to eq([1, 1])
    expect(counts).to include(leaked: 2, discarded: 0, evicted: 0, dropped: 0)
  end

  it "begin their stack where the application asks, and end it after a hundred frames at most" do
    report_after(0.05)
    deep = ->(frames) { frames.zero? ? borrow_somewhere && door.pop : deep.call(frames - 1) }
    job = Thread.new { deep.call(300) || Poolkeeper.release }
    stack = report_of(job)[:stack]
    expect(stack.size).to be_between(60, 100)
    expect(stack).to all(be_a(String))
    # `hold` goes by way of `connected_to`.
    own = stack.index { |line| line.include?("support/database.rb") }
    expect(stack.first(own).join).not_to match(%r{lib/poolkeeper|connection_adapters|callbacks|monitor\.rb})
    expect(stack[own..].join("\n")).to include("borrow_somewhere")
    door.close
    expect(job.value).to eq(1)
  end

  it "say nothing of a lease that is given back in time, whatever is held for longer beside it" do
    warm_up(2)
    report_after(2)
    reported = Queue.new
    busy = Thread.new { (hold.select_value("SELECT 1") && Poolkeeper.release) while reported.empty? }
    held = borrower
    report_of(held)
    reported << true
    busy.join
    expect(told_by_now(busy)).to eq([])
    door.close
    expect(held.value).to eq(1)
    expect(counts).to include(leaked: 1)
  end

  it "say that an owner has ended, and leave its connection alone" do
    report_after(3600)
    ended = Thread.new { writing_pool.checkout }
    adapter = ended.value
    # Whatever is out by now is looked at at once.
    report_after(0.05)
    expect(report_of(ended)[:reason]).to eq("held for longer than leak_threshold, by an owner that has ended")
    expect(adapter.owner).to equal(ended)
    expect(adapter.select_value("SELECT 1")).to eq(1)
    writing_pool.reap
  end

  it "tell of what was lent before ActiveRecord was observed, without a stack" do
    adapter = hold
    adapter.select_value("SELECT 1")
    # As if it had never been met.
    Poolkeeper::Mirror._forget(Poolkeeper::Observed::Adapters.number(adapter))
    Poolkeeper::Observed::Walk.take_over
    report_after(0.05)
    expect(report_of(Thread.current).payload).to include(stack: nil, pool: "primary writing default")
    Poolkeeper.release
  end

  it "tell nothing of a lease that has ended without a word" do
    report_after(3600)
    adapter = hold
    writing_pool.remove(adapter)
    adapter.disconnect!
    report_after(0.05)
    held = borrower
    report_of(held)
    expect(told_by_now(Thread.current)).to eq([])
    door.close
    held.join
  end

  it "keep no stack of a lease that is over, whichever way it ended" do
    report_after(60)
    stack = Poolkeeper::Observed::Stacks::STACK
    kept = -> { Poolkeeper::Observed::Adapters.all.count { |adapter| adapter.instance_variable_get(stack) } }
    wait_until { GC.start || kept.call.zero? }
    on_thread do
      hold && Poolkeeper.release
      writing_pool.with_connection { |adapter| adapter.select_value("SELECT 1") }
      hold.begin_transaction
      Poolkeeper.release
    end
    Thread.new { writing_pool.checkout }.join
    removed = writing_pool.checkout
    writing_pool.remove(removed)
    expect(kept.call).to be_positive
    writing_pool.reap
    Poolkeeper::Observed::Walk.tidy
    expect(kept.call).to eq(0)
    removed.disconnect!
  end

  it "take effect at once where they are switched on with leases out, and end at once where they are switched off" do
    adapter = hold
    report_after(3600)
    report_after(0.05)
    expect(report_of(Thread.current)[:owner]).to eq(Thread.current.object_id)
    report_after(nil)
    Poolkeeper.release
    hold
    expect(adapter.instance_variable_get(Poolkeeper::Observed::Stacks::STACK)).to be_nil
    Poolkeeper.release
  end

  it "take no stack, allocate nothing and start no thread where they are off" do
    measured = answers(<<~RUBY, Support::Scripts::CONNECT, Support::Scripts::POOLKEEPER, database: primary.config)
      pool = ActiveRecord::Base.connection_pool
      pair = ->(_ = nil) { pool.checkin(pool.checkout) }
      objects = lambda do
        before = GC.stat(:total_allocated_objects)
        100.times(&pair)
        GC.stat(:total_allocated_objects) - before
      end
      taken = lambda do
        calls = 0
        TracePoint.new(:c_call) { |call| calls += 1 if call.method_id.match?(/caller|backtrace/) }.enable { 10.times(&pair) }
        calls
      end
      10.times(&pair)
      never = [objects.call, taken.call]
      Poolkeeper.configure { |config| config.leak_threshold = 3600 }
      10.times(&pair)
      on = [objects.call, taken.call]
      Poolkeeper.configure { |config| config.leak_threshold = false }
      10.times(&pair)
      off = [objects.call, taken.call]
      say(never: never[1], on: on[1], off: off[1], more: on[0] - never[0], less: off[0] - never[0])
    RUBY
    expect(measured).to include(never: 0, on: 10, off: 0)
    expect(measured[:more]).to be > 200
    expect(measured[:less]).to be < 800
  end

  it "go on in a forked child, for its own leases" do
    report_after(0.1)
    hold.select_value("SELECT 1")
    said = forked do
      own = Queue.new
      Poolkeeper.events.subscribe("connection.leaked") { |event| own << [event[:owner], event[:stack].size] }
      hold.select_value("SELECT 1")
      event = own.pop
      [event[0] == Thread.current.object_id, event[1].positive?, Poolkeeper.release]
    end
    expect(said).to eq([true, true, 1])
    Poolkeeper.release
  end
end
