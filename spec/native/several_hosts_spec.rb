# frozen_string_literal: true

require "spec_helper"

RSpec.describe "A native pool over several hosts", :native, :once, only: :postgresql do
  let(:cluster) { Support::Postgres.start(standby: true) }
  let(:nodes) { cluster.nodes }
  let(:name) { Support::NativePools::NAME }

  after do
    @pools&.each { |pool| pool.close(timeout: 5) }
    @pools = nil
    cluster.close
  end

  def several(wanted, hosts = nodes, **options)
    list = hosts.map { |node| "#{node.host}:#{node.port}" }.join(",")
    pool("postgres://poolkeeper@#{list}/poolkeeper?target_session_attrs=#{wanted}", **options)
  end

  # How many sessions of native pools each server has.
  def placed(*servers)
    servers.map { |node| node.backends(application_name: name).size }
  end

  # The session at a server that was passed over takes a moment to leave.
  def await_placed(*counts)
    wait_until(message: -> { "#{counts}, there are #{placed(*nodes)}" }) { placed(*nodes) == counts }
  end

  def write(pool, number)
    pool.with { |db| db.execute("INSERT INTO writes VALUES ($1)", number) }
  end

  def written(node)
    node.sql("SELECT n FROM writes ORDER BY n").map { |row| Integer(row.first) }
  end

  def count(node)
    written(node).size
  end

  def standby?(pool)
    pool.with { |db| db.query("SELECT pg_is_in_recovery() AS standby") }.first[:standby]
  end

  # Five writers, each with its own numbers, until the block is over.
  #
  # @return [Array(Array<Integer>, Array<Exception>)] what was written, as far as the writers know, and what failed
  def writing(pool)
    done = false
    writers = Array.new(5) do |worker|
      Thread.new { write_until(-> { done }, pool, worker) }
    end
    yield
    done = true
    outcomes = writers.map(&:value)
    [outcomes.flat_map(&:first).sort, outcomes.flat_map(&:last)]
  ensure
    done = true
    writers&.each(&:join)
  end

  def write_until(done, pool, worker)
    written = []
    errors = []
    (worker * 100_000).step do |number|
      break [written, errors] if done.call

      error = error_of { write(pool, number) }
      error ? errors << error : written << number
      sleep(0.002)
    end
  end

  context "that is to write" do
    before do
      nodes.first.sql("CREATE TABLE writes (n int)")
      # Whoever is promoted has only what has come to it by then.
      cluster.wait_for_replay
    end

    it "goes to the new primary when the old one is stopped and the standby promoted, and fails no write after that" do
      old, new = nodes
      # The standby stands first, and is passed over.
      pool = several("read-write", [new, old], size: 5)
      known, errors = writing(pool) do
        wait_until(message: -> { "five at the primary, there are #{placed(new, old)}" }) { placed(new, old) == [0, 5] }
        wait_until { count(old) > 50 }
        stop(old)
        expect { write(pool, -1) }.to raise_error(Poolkeeper::HostDownError, /:#{new.port}: it is a standby, and read-/)
        new.promote
        before = count(new)
        wait_until { count(new) > before + 50 }
      end
      # Whoever was in flight, then whoever asked meanwhile; nobody found a server that takes no writes.
      expect(errors.map(&:class).uniq - [Poolkeeper::HostDownError, Poolkeeper::ConnectionError]).to eq([])
      expect(errors.count { |error| error.instance_of?(Poolkeeper::ConnectionError) }).to be <= 5
      expect(known - written(new)).to eq([])
      expect(written(new).tally.values.uniq).to eq([1])
      wait_until { Poolkeeper.healthy? }
      expect_log(/incident opened.*incident closed/m)
    end

    it "leaves a primary that takes no more writes after one write each, and comes back to none such" do
      old, new = nodes
      pool = several("read-write", size: 3)
      warm(pool, 3)
      old.read_only!(true)
      new.promote
      errors = Array.new(9) { |number| error_of { write(pool, number) } }.compact
      expect(errors.map(&:class)).to eq([Poolkeeper::ReadOnlyError])
      expect(written(new)).to eq((1..8).to_a)
      await_placed(0, 1)
      wait_until { Poolkeeper.healthy? }
      # One that is a primary still will do where nothing else is asked.
      expect(several("primary").with { |db| db.query("SHOW port") }).to eq([{ port: old.port.to_s }])
    end

    it "does not take an old writer for the new one where only that answers, and finds the new one by itself" do
      _, new = nodes
      pool = several("read-write", [new], size: 2)
      expect { write(pool, 1) }.to raise_error(Poolkeeper::HostDownError, /it is a standby, and read-write is wanted/)
      expect(Poolkeeper.healthy?).to be(false)
      new.promote
      # Nobody asks: the prober does.
      wait_until { pool.stats[:idle] == 1 }
      write(pool, 1)
      expect(written(new)).to eq([1])
      wait_until { Poolkeeper.healthy? }
    end
  end

  context "that is to read" do
    it "reads from the standby alone where that is asked for" do
      pool = several("standby", size: 2)
      warm(pool, 2)
      await_placed(0, 2)
      stop(nodes.last)
      expect { pool.with(&:ping) }.to raise_error(Poolkeeper::HostDownError, /:#{nodes.first.port}: it is a primary/)
      nodes.last.start
      wait_until { pool.stats[:idle].positive? }
      expect(standby?(pool)).to be(true)
    end

    it "falls back to the primary where a standby is preferred, for as long as there is none" do
      pool = several("prefer-standby", size: 2)
      warm(pool, 2)
      await_placed(0, 2)
      stop(nodes.last)
      expect(standby?(pool)).to be(false)
      nodes.last.start
      pool.reload
      expect(standby?(pool)).to be(true)
      await_placed(0, 1)
    end

    it "takes a write that a standby refuses for the writer's mistake: nothing is replaced, and no incident opens" do
      pool = several("prefer-standby", size: 2)
      before = warm(pool, 2).sort
      error = error_of { pool.with { |db| db.execute("CREATE TABLE writes (n int)") } }
      expect(error).to have_attributes(class: Poolkeeper::QueryError, sqlstate: "25006")
      expect(Poolkeeper.verify(error)&.condemned.to_i).to eq(0)
      expect(warm(pool, 2).sort).to eq(before)
      expect(Poolkeeper.healthy?).to be(true)
      # Those of other examples may come to be known only now.
      opened = log_text.lines.grep(/incident opened/)
      expect(opened.grep(/:(?:#{nodes.map(&:port).join("|")})\b/)).to eq([])
    end

    it "ends an interrupted statement on the server that runs it" do
      pool = several("standby", size: 1)
      thread = Thread.new { pool.with { |db| db.query("SELECT pg_sleep(30)") } }
      standby = nodes.last
      wait_until { standby.backends(state: "active", query: /pg_sleep/).any? }
      said = standby.log_since do
        thread.kill.join
        wait_until { standby.backends(state: "active", query: /pg_sleep/).none? && pool.stats[:idle] == 1 }
      end
      expect(said).to include("canceling statement due to user request")
    end
  end
end
