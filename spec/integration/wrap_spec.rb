# frozen_string_literal: true

require "spec_helper"
require_relative "../support/karafka_worker"

RSpec.describe "Poolkeeper.wrap", :database do
  def busy
    pools.sum { |pool| pool.stat[:busy] + pool.stat[:dead] }
  end

  # Takes leases in two roles, as any piece of work may.
  def work
    [hold.select_value("SELECT 1"), hold(role: :reading).select_value("SELECT 2")]
  end

  it "answers the block's value and gives back what the block took" do
    expect(Poolkeeper.wrap { work }).to eq([1, 2])
    expect(busy).to eq(0)
  end

  it "lets an exception through, of any kind, and gives back" do
    [ArgumentError, NotImplementedError, Interrupt, Class.new(Exception)].each do |error| # rubocop:disable Lint/InheritException
      expect { Poolkeeper.wrap { work && raise(error, "the work's") } }.to raise_error(error, "the work's")
      expect(busy).to eq(0)
    end
  end

  it "lets throw, break and return through, and gives back" do
    returning = -> { Poolkeeper.wrap { work && (return :returned) } }

    expect(catch(:done) { Poolkeeper.wrap { work && throw(:done, :thrown) } }).to eq(:thrown)
    expect(Poolkeeper.wrap { work && (break :broken) }).to eq(:broken)
    expect(returning.call).to eq(:returned)
    expect(busy).to eq(0)
  end

  it "gives back where the thread is killed in the middle" do
    ready = Queue.new
    thread = Thread.new { Poolkeeper.wrap { work && (ready << true) && sleep } }
    ready.pop
    thread.kill.join

    expect(busy).to eq(0)
  end

  it "gives back where a Timeout ends the work, and the Timeout arrives" do
    expect { Timeout.timeout(0.1) { Poolkeeper.wrap { hold.select_value(dialect.sleep(1)) } } }
      .to raise_error(Timeout::Error)
    expect(busy).to eq(0)
    # The query that was interrupted is not the next owner's.
    expect(on_thread { Poolkeeper.wrap { hold.select_value("SELECT 5") } }).to eq(5)
  ensure
    # The server goes on with it, for nobody asked it to stop.
    primary.terminate(:all)
  end

  # Some drivers keep such a connection, with the query on it, and some close it, which ActiveRecord does not notice.
  { "killed" => :kill.to_proc,
    "interrupted" => ->(thread) { thread.raise(Class.new(Exception)) } }.each do |how, finish| # rubocop:disable Lint/InheritException
    context "where a thread is #{how} in the middle of a query" do
      # Begins a query in a thread, ends that, and answers the number of its connection.
      def ended_in_a_query(finish, &around)
        pids = Queue.new
        thread = Thread.new do
          Thread.current.report_on_exception = false
          around.call(->(adapter) { (pids << backend_of(adapter)) && adapter.select_value(dialect.sleep(20)) })
        end
        pid = pids.pop
        wait_until { primary.backends(pid: pid, state: "active").any? }
        finish.call(thread)
        wait_until { !thread.alive? }
        pid
      end

      # In the next job, before ActiveRecord's two seconds of trust are over.
      def next_job
        on_thread { Poolkeeper.wrap { [backend_of(hold), written_by(hold), hold.select_value("SELECT 5")] } }
      end

      # The server goes on with it, for nobody asked it to stop.
      after { primary.terminate(:all) }

      it "gives back, and nobody inherits that" do
        pid = ended_in_a_query(finish) { |query| Poolkeeper.wrap { query.call(hold) } }

        expect(busy).to eq(0)
        expect(next_job).to match([be_an(Integer).and(satisfy { |other| other != pid }), 1, 5])
      end

      it "lets nobody inherit that either where ActiveRecord itself gave back" do
        pid = ended_in_a_query(finish) { |query| writing_pool.with_connection(&query) }

        expect(next_job).to match([be_an(Integer).and(satisfy { |other| other != pid }), 1, 5])
        expect(busy).to eq(0)
      end
    end
  end

  it "may be nested: the outer work goes on with connections of its own" do
    seen = Poolkeeper.wrap do
      work
      inner = Poolkeeper.wrap { work.sum }
      [inner, busy, hold.select_value("SELECT 4")]
    end
    expect(seen).to eq([3, 0, 4])
    expect(busy).to eq(0)
  end

  it "may stand inside a block that has borrowed a connection: nobody else gets that one meanwhile" do
    writing_pool.with_connection do |adapter|
      adapter.select_value("SELECT 1")
      Poolkeeper.wrap { hold(role: :reading).select_value("SELECT 2") }
      expect(on_thread { hold.tap { Poolkeeper.release } }).not_to equal(adapter)
      expect(adapter.select_value("SELECT 3")).to eq(3)
    end
    Poolkeeper.release
    expect(busy).to eq(0)
  end

  it "may stand inside a transaction block, which commits whole" do
    item = Support::Models::Item
    item.transaction do
      item.create!(n: 1)
      Poolkeeper.wrap { item.create!(n: 2) }
      item.create!(n: 3)
    end
    expect(rows).to eq(3)
  end

  it "may stand around one that is left by an exception: rolled back, and given back" do
    item = Support::Models::Item
    expect do
      Poolkeeper.wrap { item.transaction { item.create!(n: 1) && raise(IOError, "the work's") } }
    end.to raise_error(IOError)
    expect(rows).to eq(0)
    expect(busy).to eq(0)
    expect(counts[:discarded]).to eq(0)
  end

  it "asks for a block" do
    expect { Poolkeeper.wrap }.to raise_error(LocalJumpError)
  end

  it "serves as Karafka's job wrapper, for jobs that succeed and for jobs that fail" do
    monitor = Support::KarafkaMonitor.new
    errors = Queue.new
    monitor.subscribe("error.occurred") { |event| errors << event[:type] }
    results = Queue.new
    Support::KarafkaWorkers.open(monitor, concurrency: 2, job_call_wrapper: Poolkeeper) do |workers|
      jobs = Array.new(6) do |number|
        workers.perform("orders", number) do
          results << work
          raise "every other one" if number.odd?
        end
      end
      jobs.each(&:join)
      expect(busy).to eq(0)
      expect(workers.crash).to be_nil
    end
    expect(Array.new(results.size) { results.pop }).to eq([[1, 2]] * 6)
    expect(Array.new(errors.size) { errors.pop }).to eq(["consumer.consume.error"] * 3)
  end
end
