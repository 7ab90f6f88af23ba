# frozen_string_literal: true

require "spec_helper"

RSpec.describe "A fork", :database do
  # Runs a block in a child and answers its value; nothing of this process may run at the child's end.
  def forked(&block)
    reader, writer = IO.pipe
    pid = Process.fork do
      reader.close
      writer.write(Marshal.dump(error_or_value(&block)))
      writer.close
    ensure
      exit!(0)
    end
    writer.close
    said = reader.read
    Process.wait(pid)
    value = Marshal.load(said) # rubocop:disable Security/MarshalLoad -- our own child's
    value.is_a?(Exception) ? raise(value) : value
  ensure
    [reader, writer].each(&:close)
  end

  def error_or_value
    yield
  rescue Exception => e # rubocop:disable Lint/RescueException -- told to the parent
    RuntimeError.new("in the child: #{e.full_message(highlight: false)}")
  end

  def leases
    Poolkeeper.stats.values.sum { |pool| pool[:leases].size }
  end

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
      [released, seen.pop, idle_in_transaction]
    end
    expect(said).to eq([1, "primary writing default", 0])
    expect(rows).to eq(0)
  end

  it "lets children fork too" do
    expect(forked { forked { [leases, hold.select_value("SELECT 7"), Poolkeeper.release] } }).to eq([0, 7, 1])
    expect(backend_of(held)).to eq(held_pid)
  end

  describe "leaves the parent untouched:" do
    it "its lease goes on working, its idle connections stay, and both are still its own" do
      3.times { forked { hold.select_value("SELECT 1") && Poolkeeper.release } }

      expect(backend_of(held)).to eq(held_pid)
      wait_until { primary.backends.size == 4 }
      expect(primary.backends.map(&:pid)).to contain_exactly(held_pid, *idle_pids)
      expect(Poolkeeper.release).to eq(1)
      expect(counts).to include(discarded: 0, evicted: 0, dropped: 0, mirror_misses: 0)
    end

    it "its idle connections are evicted when they die, while a child lives that inherited them" do
      reader, writer = IO.pipe
      child = Process.fork do
        writer.close
        hold.select_value("SELECT 1")
        reader.read
      ensure
        exit!(0)
      end
      reader.close
      primary.terminate(idle_pids)
      wait_until(message: "evicted in the parent") { writing_pool.connections == [held] }
      expect(backend_of(held)).to eq(held_pid)
      expect(counts[:evicted]).to eq(3)
    ensure
      writer.close
      Process.wait(child)
    end

    it "its transaction goes on, and commits whole" do
      item = Support::Models::Item
      item.transaction do
        item.create!(n: 1)
        expect(forked { Poolkeeper.release }).to eq(0)
        item.create!(n: 2)
      end
      expect(rows).to eq(2)
    end
  end
end
