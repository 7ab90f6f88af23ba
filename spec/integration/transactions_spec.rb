# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Open transactions", :database do
  let(:item) { Support::Models::Item }

  def forget_a_transaction(sql: nil)
    on_thread do
      adapter = hold
      sql ? adapter.execute(sql) : adapter.begin_transaction
      adapter.execute("INSERT INTO items (n) VALUES (100)")
      yield adapter if block_given?
      Poolkeeper.release
    end
  end

  shared_examples "a leak" do |sql|
    it "is discarded, so that the server rolls back and nobody else's work is undone" do
      expect(forget_a_transaction(sql: sql)).to eq(1)

      wait_until { idle_in_transaction.zero? }
      on_thread { item.create!(n: 200) && Poolkeeper.release }
      expect(rows("n = 100")).to eq(0)
      expect(rows("n = 200")).to eq(1)
      expect_log(/a transaction was left open/)
      expect(counts).to include(leaked: 1, discarded: 1)
      expect(writing_pool.stat[:busy]).to eq(0)
    end
  end

  context "begun through ActiveRecord and forgotten" do
    it_behaves_like "a leak"
  end

  context "begun with raw SQL, which ActiveRecord does not know", only: :postgresql do
    it_behaves_like "a leak", "BEGIN"
  end

  # The limit that README names. Should it fail one day because the driver tells, so much the better.
  it "begun with raw SQL over mysql2 are seen by nobody, and travel with their connection", only: :mariadb do
    expect(forget_a_transaction(sql: "BEGIN")).to eq(1)
    expect(idle_in_transaction).to eq(1)

    seen = on_thread { hold.select_values("SELECT n FROM items").tap { Poolkeeper.release } }
    expect(seen).to eq([100])
    expect(rows).to eq(0)
    expect(counts).to include(leaked: 0, discarded: 0, released: 2)
  end

  # Its owner is killed where the server has begun it, and ActiveRecord has not noted that.
  def killed_in_the_beginning
    done = Queue.new
    thread = Thread.new do
      yield lambda { |adapter|
        adapter.define_singleton_method(:begin_db_transaction) do |*arguments|
          super(*arguments)
          done << true
          sleep
        end
        begin
          item.create!(n: 100)
        ensure
          adapter.singleton_class.send(:remove_method, :begin_db_transaction)
        end
      }
    ensure
      Poolkeeper.release
    end
    done.pop
    thread.kill.join
  end

  it "is ended at once where ActiveRecord itself gives its connection back" do
    backend = nil
    killed_in_the_beginning do |begin_one|
      writing_pool.with_connection do |adapter|
        backend = backend_of(adapter)
        begin_one.call(adapter)
      end
    end
    wait_until { idle_in_transaction.zero? }
    wait_until { primary.backends.none? { |session| session.pid == backend } }
    expect(writing_pool.stat).to include(busy: 0, connections: 1)
    expect(counts[:discarded]).to eq(1)
    expect(on_thread { item.insert_all!([{ n: 200 }]) && Poolkeeper.release && rows }).to eq(1)
  end

  it "is looked for on a connection that its driver has closed, and given back as any" do
    writing_pool.with_connection do |adapter|
      backend_of(adapter)
      Poolkeeper::Observed::Driver.raw(adapter).close
    end
    expect(writing_pool.stat[:busy]).to eq(0)
    expect(on_thread { item.create!(n: 1) && Poolkeeper.release && rows }).to eq(1)
  end

  it "is a leak too where its owner was killed right after the server had begun it" do
    killed_in_the_beginning { |begin_one| begin_one.call(hold) }
    wait_until { idle_in_transaction.zero? }
    on_thread { item.insert_all!([{ n: 200 }]) && Poolkeeper.release }
    expect(rows("n = 100")).to eq(0)
    expect(rows("n = 200")).to eq(1)
    expect(counts).to include(leaked: 1, discarded: 1)
  end

  { "committed" => ->(item) { item.create!(n: 1) },
    "rolled back" => ->(item) { item.transaction { item.create!(n: 0) && raise(ActiveRecord::Rollback) } } }
    .each do |ended, transaction|
    it "is none where it was #{ended}, though its owner was killed soon after" do
      backend = on_thread { backend_of(hold).tap { Poolkeeper.release } }
      over = Queue.new
      thread = Thread.new do
        transaction.call(item)
        over << true
        sleep
      ensure
        Poolkeeper.release
      end
      over.pop
      thread.kill.join
      expect(on_thread { backend_of(hold).tap { Poolkeeper.release } }).to eq(backend)
      expect(counts).to include(leaked: 0, discarded: 0, dropped: 0)
    end
  end

  it "is a leak too where nothing was sent yet, for the next borrower would join it" do
    on_thread do
      hold.begin_transaction(joinable: true, _lazy: true)
      expect(Poolkeeper.release).to eq(1)
    end
    on_thread { item.create!(n: 1) && Poolkeeper.release }
    expect(rows).to eq(1)
  end

  it "is reported with topic, partition and age" do
    seen = []
    # Another example's may come only now.
    own = -> { seen.find { |event| event[:owner] == @owner } }
    Poolkeeper.events.subscribe("connection.leaked") { |event| seen << event }
    on_thread do
      @owner = Poolkeeper::Owner.current
      Poolkeeper::Mirror._job(@owner, "orders", 7)
      hold.begin_transaction
      Poolkeeper.release
    end
    wait_until { own.call }
    expect(own.call.payload).to include(pool: "primary writing default", role: "writing", shard: "default",
                                        topic: "orders", partition: 7, host: "127.0.0.1:#{primary.port}")
    expect(own.call[:seconds]).to be_between(0, 5)
  end

  it "is left and reported with leaks: :report" do
    listener = Poolkeeper::KarafkaListener.new(leaks: :report)
    on_thread do
      adapter = hold
      adapter.begin_transaction
      listener.on_worker_completed(nil)
      expect(adapter.owner).to eq(Thread.current)
      expect_log(/a transaction was left open/)
      adapter.rollback_transaction
      listener.on_worker_completed(nil)
      expect(adapter.in_use?).to be_falsy
    end
  end

  describe "a running block" do
    it "is left alone by a release inside it, nested too, and commits whole" do
      item.transaction do
        item.create!(n: 1)
        item.transaction(requires_new: true) do
          expect(Poolkeeper.release).to eq(0)
          item.create!(n: 2)
        end
        expect(Poolkeeper.release).to eq(0)
        item.create!(n: 3)
      end
      Poolkeeper.release
      expect(rows).to eq(3)
      expect_log(/release inside a running transaction block/)
      expect(counts[:discarded]).to eq(0)
    end

    it "is left alone by a release in another fiber of the thread" do
      item.transaction do
        item.create!(n: 1)
        expect(Enumerator.new { |results| results << Poolkeeper.release }.next).to eq(0)
        item.create!(n: 2)
      end
      Poolkeeper.release
      expect(rows).to eq(2)
    end

    it "is left alone by verify with an error of its connection's pool" do
      item.transaction do
        item.create!(n: 1)
        Poolkeeper.verify(dialect.dead)
        item.create!(n: 2)
      end
      Poolkeeper.release
      expect(rows).to eq(2)
    end
  end

  describe "a transactional fixture" do
    def fixture(joinable: false)
      adapter = hold
      adapter.begin_transaction(joinable: joinable)
      yield adapter
    ensure
      adapter.rollback_transaction if adapter&.transaction_open?
    end

    it "is left alone: its transaction may not be joined" do
      fixture do |adapter|
        item.create!(n: 1)
        expect(Poolkeeper.release).to eq(0)
        expect(item.count).to eq(1)
        expect(adapter.owner).to eq(Thread.current)
      end
      expect(rows).to eq(0)
    end

    it "is left alone from inside a block within it, where the innermost transaction may be joined" do
      fixture do |adapter|
        adapter.begin_transaction(joinable: true)
        item.create!(n: 1)
        expect(Poolkeeper.release).to eq(0)
        expect(item.count).to eq(1)
        adapter.rollback_transaction
      end
    end

    it "is left alone where its connection is pinned or locked to the thread" do
      pool = writing_pool
      if pool.respond_to?(:pin_connection!)
        pool.pin_connection!(true)
      else
        hold
        pool.lock_thread = true
      end
      item.create!(n: 1)
      expect(Poolkeeper.release).to eq(0)
      expect(Poolkeeper::Observed::Eviction.sweep(pool)).to eq(0)
      expect(item.count).to eq(1)
    ensure
      pool.respond_to?(:unpin_connection!) ? pool.unpin_connection! : pool.lock_thread = false
    end
  end

  describe "given back by somebody else" do
    def give_back_open(sql)
      on_thread do
        adapter = hold
        sql ? adapter.execute(sql) : adapter.begin_transaction(_lazy: false)
        adapter.execute("INSERT INTO items (n) VALUES (100)")
        writing_pool.release_connection
      end
    end

    { nil => {}, "BEGIN" => { only: :postgresql } }.each do |sql, told|
      it "is not handed to the next owner (#{sql || "ActiveRecord's own"})", **told do
        give_back_open(sql)
        seen = on_thread do
          item.insert_all([{ n: 200 }])
          item.pluck(:n).tap { Poolkeeper.release }
        end
        expect(seen).to eq([200])
        expect(rows("n = 200")).to eq(1)
        expect(counts[:discarded]).to eq(1)
        wait_until { idle_in_transaction.zero? }
      end
    end
  end
end
