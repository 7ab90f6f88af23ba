# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Many threads", :database do
  let(:pool) { writing_pool }

  # Who holds what, as the mirror has it.
  def mirrored
    counts[:leases].map { |lease| lease[:owner] }.sort
  end

  # ... and as ActiveRecord has it.
  def leased
    pool.connections.select(&:in_use?).map { |adapter| adapter.owner.object_id }.sort
  end

  # As the poolkeeper thread does every ten seconds: leases may end without a word.
  def tidy
    Poolkeeper::Observed::Walk.tidy
  end

  # The highest number of server processes while a block runs, as another client counts them.
  def most_backends
    most = 0
    done = false
    observer = Thread.new do
      primary.observe do |client|
        most = [most, dialect.clients(client)].max until done
      end
    end
    yield
    done = true
    observer.join
    most
  ensure
    done = true
  end

  # Has connections leave the pool in the block. Their slots are free before the server has seen the goodbyes: nobody
  # takes one until then.
  def see_off(leaving)
    pool.synchronize do
      pids = leaving.call.map { |adapter| backend_of(adapter) }
      yield
      wait_until(message: "#{pids} are gone") { primary.backends(pid: pids).empty? }
    end
  end

  it "take and release at once on a pool that is too small for them, and none is lost or lent twice" do
    works = [-> { hold.select_value("SELECT 1") },
             -> { pool.with_connection { |adapter| adapter.select_value("SELECT 1") } },
             -> { pool.checkout.select_value("SELECT 1") },
             -> { Support::Models::Item.transaction { hold.select_value("SELECT 1") } }]
    most = most_backends do
      threads = Array.new(20) do |number|
        Thread.new do
          Array.new(200) { |round| works[(number + round) % 4].call.tap { Poolkeeper.release } }.sum
        end
      end
      expect(threads.map(&:value)).to eq([200] * 20)
    end

    expect(most).to be_between(1, Support::Database::SIZE)
    expect([leased, mirrored]).to eq([[], []])
    expect(pool.stat).to include(busy: 0, dead: 0, waiting: 0)
    expect(counts).to include(mirror_misses: 0, discarded: 0, dropped: 0, evicted: 0)
  end

  describe "one of which is killed" do
    def killed
      ready = Queue.new
      thread = Thread.new do
        2.times { pool.checkout.select_value("SELECT 1") }
        ready << true
        sleep
      end
      ready.pop
      thread.kill.join
    end

    it "with leases in its hands loses them to the reaper, and the mirror follows" do
      killed
      expect(pool.stat[:dead]).to eq(2)
      pool.reap
      expect([leased, mirrored]).to eq([[], []])
      expect(warm_up.size).to eq(Support::Database::SIZE)
    end

    it "with leases whose server is gone leaves no trace either" do
      killed
      primary.terminate(:all)
      pool.reap
      tidy
      expect(mirrored).to eq([])
      expect(warm_up.size).to eq(Support::Database::SIZE)
    end

    it "has no connection any more that another was about to take over when that one was killed too" do
      killed
      # The first half of a reap, by a thread that does not get to the second.
      on_thread { pool.synchronize { pool.connections.first.steal! } }
      tidy
      expect(mirrored.size).to eq(1)
      pool.reap
      expect([leased, mirrored]).to eq([[], []])
    end

    it "is not mistaken for another, whatever became of its address" do
      killed
      GC.start
      expect(on_thread { Poolkeeper.release }).to eq(0)
      expect(mirrored.size).to eq(2)
      pool.reap
    end
  end

  describe "while the application does to its pool" do
    # One lease here, one on another thread, and idle ones.
    before do
      warm_up(4)
      @go = Queue.new
      ready = Queue.new
      @other = Thread.new do
        hold.select_value("SELECT 1")
        ready << true
        @go.pop
        Poolkeeper.release
      end
      @other.report_on_exception = false
      ready.pop
      @mine = hold
      pool.checkout_timeout = 0.2
    end

    after do
      @go << true
      @other.join
      pool.checkout_timeout = 5
      Poolkeeper.release
      tidy
      expect([leased, mirrored]).to eq([[], []])
      expect(warm_up.size).to eq(Support::Database::SIZE)
      expect(Poolkeeper.stats.values.sum { |stats| stats[:mirror_misses] }).to eq(0)
    end

    { "disconnect!" => ->(pool, _mine) { pool.disconnect! },
      "clear_reloadable_connections!" => ->(pool, _mine) { pool.clear_reloadable_connections! },
      "flush!" => ->(pool, _mine) { pool.flush! },
      "reap" => ->(pool, _mine) { pool.reap },
      "throw_away!" => ->(_pool, mine) { mine.throw_away! },
      "remove" => ->(pool, mine) { [pool.remove(mine), mine.disconnect!] },
      "release_connection" => ->(pool, _mine) { pool.release_connection } }.each do |name, act|
      it "#{name}, the mirror has what the pool has" do
        act.call(pool, @mine)
        tidy
        expect(mirrored).to eq(leased)
      end

      it "#{name}, a release gives back no less and no more than is there" do
        act.call(pool, @mine)
        there = leased.count(Thread.current.object_id)
        expect(Poolkeeper.release).to eq(there)
        expect(leased.count(Thread.current.object_id)).to eq(0)
      end
    end
  end

  it "go on while the pool is flushed, reaped and disconnected under them" do
    # ActiveRecord is not fair to who waits, and the pool is held up.
    pool.checkout_timeout = 60
    done = false
    errors = Queue.new
    threads = Array.new(8) do
      Thread.new do
        until done
          begin
            hold.select_value("SELECT 1")
          rescue ActiveRecord::ActiveRecordError => e
            # `disconnect!` takes connections from their owners: that is the application's to know.
            errors << e
          ensure
            Poolkeeper.release
          end
        end
      end
    end
    most = most_backends do
      5.times do
        see_off(-> { pool.connections.reject(&:in_use?) }) { pool.flush! }
        pool.reap
        mine = hold
        see_off(-> { [mine] }) { mine.throw_away! }
        Poolkeeper.release
      end
    end
    # ... and with nobody held up, where those on their way out come on top.
    30.times do
      pool.flush!
      pool.reap
      hold.throw_away!
      Poolkeeper.release
    end
    done = true
    threads.each(&:join)
    tidy

    expect(Array.new(errors.size) { errors.pop }).to eq([])
    expect([leased, mirrored]).to eq([[], []])
    # Up to 7.0 a pool connects for who waits before the one that is thrown away is closed.
    expect(most).to be <= Support::Database::SIZE + (Poolkeeper::Observed::Driver.lazy? ? 0 : 1)
    expect(counts[:mirror_misses]).to eq(0)
  end
end
