# frozen_string_literal: true

require "spec_helper"

RSpec.describe "A restart of the server", :database do
  let(:item) { Support::Models::Item }
  let(:workers) { 5 }
  let(:jobs) { 6 }

  # Five workers that have each used a connection, the restart, then six jobs each.
  def errors_after_restart(mode, job)
    used = Queue.new
    start = Queue.new
    errors = Queue.new
    threads = Array.new(workers) { Thread.new { work(used, start, errors, job) } }
    wait_until { used.size == workers && writing_pool.stat[:busy].zero? }
    primary.restart(mode: mode)
    workers.times { start << true }
    threads.each(&:join)
    Array.new(errors.size) { errors.pop }
  end

  def work(used, start, errors, job)
    hold.select_value("SELECT 1")
    used << true
    wait_until { used.size == workers }
    Poolkeeper.release
    start.pop
    jobs.times { attempt(errors, &job) }
  end

  def attempt(errors)
    yield
  rescue StandardError => e
    errors << e
    Poolkeeper.verify(e)
  ensure
    Poolkeeper.release
  end

  { update_all: ->(item) { item.where(id: 1).update_all(n: 3) },
    insert_all: ->(item) { item.insert_all([{ n: 4 }]) },
    execute: ->(item) { item.connection_pool.with_connection { |adapter| adapter.execute("SELECT 1") } },
    create!: ->(item) { item.create!(n: 5) } }.each do |name, job|
    it "fails no job that begins after it (#{name})" do
      expect(errors_after_restart(:fast, -> { job.call(item) })).to eq([])
    end
  end

  it "fails none either where the server crashed" do
    expect(errors_after_restart(:immediate, -> { item.where(id: 1).update_all(n: 3) })).to eq([])
  end

  it "costs the worker in the middle of a query that query, and nothing after it" do
    results = on_thread do
      errors = Queue.new
      attempt(errors) do
        adapter = hold
        pid = backend_of(adapter)
        query = Thread.new { wait_until { primary.backends(pid: pid, state: "active").any? } && primary.restart }
        adapter.execute(dialect.sleep(30))
      ensure
        query&.join
      end
      jobs.times { attempt(errors) { hold.execute("UPDATE items SET n = 1") } }
      errors.size
    end
    expect(results).to eq(1)
  end

  it "opens one incident and closes it, with one line each" do
    warm_up
    expect(Poolkeeper.healthy?).to be(true)
    # The sessions end one by one, and a loaded machine takes its time between them: a job's error opens it in any case.
    on_thread do
      hold.select_value("SELECT 1")
      primary.restart
      attempt(Queue.new) { hold.execute("UPDATE items SET n = 1") }
    end
    # What hangs up after the incident could open another.
    wait_until { Support::Proc.sockets_to(primary.port).zero? }
    expect(Poolkeeper.healthy?).to be(false)
    writing_pool.with_connection { |adapter| adapter.select_value("SELECT 1") }
    wait_until { Poolkeeper.healthy? }
    expect_log(/incident closed/)
    expect(log_text.scan("incident opened").size).to eq(1)
  end

  describe "while the server is down" do
    it "a handler connects to nothing, raises nothing and returns at once" do
      hold.select_value("SELECT 1")
      primary.stop
      error = nil
      begin
        hold.execute("SELECT 1")
      rescue StandardError => e
        error = e
      end
      # Whoever connects is in its queue, and waits for ever.
      in_its_place = TCPServer.new(primary.host, primary.port)
      Poolkeeper.verify(error)
      Poolkeeper.release
      expect(in_its_place.accept_nonblock(exception: false)).to eq(:wait_readable)
      in_its_place.close
      refused = begin
        hold.execute("SELECT 1")
      rescue StandardError => e
        e
      end
      expect(Poolkeeper.verify(refused)).to have_attributes(fault: :unreachable, dropped: 0)
      expect(Poolkeeper.healthy?).to be(false)
      Poolkeeper.release
    ensure
      in_its_place&.close
      primary.start
      expect(Poolkeeper.verify!(writing_pool).pools).to eq(["primary writing default"])
    end

    it "a refused connect is charged to the pool that could not connect, not to the one that is held" do
      # Another pool of the same server, so that the address alone does not tell.
      [hold, hold(shard: :one)].each { |adapter| adapter.select_value("SELECT 1") }
      Poolkeeper.release
      hold(role: :reading).select_value("SELECT 1")
      primary.stop
      wait_until { writing_pool.connections.empty? }
      refused = begin
        hold.execute("SELECT 1")
      rescue StandardError => e
        e
      end
      expect(Poolkeeper.verify(refused).pools).to eq(["primary writing default"])
      expect(Poolkeeper.healthy?).to be(false)
    ensure
      Poolkeeper.release
      primary.start
    end
  end
end
