# frozen_string_literal: true

RSpec.shared_examples "statements of a native pool" do |kind|
  let(:pool) { Poolkeeper::Pool.new(database.url, name: "native", size: 2) }

  before { pool.with { |db| db.execute("CREATE TABLE things (id bigint PRIMARY KEY, name varchar(20))") } }

  after do
    pool.with { |db| %w[things fits].each { |table| db.execute("DROP TABLE IF EXISTS #{table}") } }
    pool.close
    database.close
  end

  def add(connection, id, name = nil)
    connection.execute("INSERT INTO things (id, name) VALUES (#{database.bind(1)}, #{database.bind(2)})", id, name)
  end

  # As another client sees them.
  def ids
    database.outside("SELECT id FROM things ORDER BY id").flatten.map(&:to_i)
  end

  def at_work
    Support.wait_until(message: "the statement runs") { database.busy? }
  end

  def at_rest
    Support.wait_until(message: "nothing runs any more") { !database.busy? }
  end

  # Waits until what was left open has been rolled back, too.
  def one_connection_idle
    Support.wait_until(message: "the connection is idle") { pool.stats.values_at(:idle, :away, :leased) == [1, 0, 0] }
  end

  # Neither the session of a cancel nor one that was dropped is there for longer than its goodbye takes.
  def settled(count)
    found = nil
    Support.wait_until(message: -> { "#{count} sessions, there are #{found}" }) do
      found = database.sessions
      found.size == count
    end
    found
  end

  describe "values" do
    def column(type)
      pool.with { |db| db.execute("CREATE TABLE fits (v #{type})") }
    end

    def put(value)
      pool.with { |db| db.execute("INSERT INTO fits VALUES (#{database.bind(1)})", value) }
    end

    def value
      pool.with { |db| db.query("SELECT v FROM fits") }.map { |row| row[:v] }.first
    end

    kind::FITS.each do |fit|
      it "go and come: #{fit}" do
        column(fit.type)
        put(fit.value)
        expect(database.outside("SELECT #{fit.as} FROM fits")).to eq([[fit.seen]])
        expect(value).to eql(fit.back)
        expect(value.encoding).to eq(fit.back.encoding) if fit.back.is_a?(String)
      end
    end

    it "that are nil go everywhere and come from everywhere" do
      kind::FITS.map(&:type).uniq.each do |type|
        column(type)
        put(nil)
        expect([type, database.outside("SELECT count(*) FROM fits WHERE v IS NULL"), value]).to eq([type, [["1"]], nil])
        pool.with { |db| db.execute("DROP TABLE fits") }
      end
    end

    it "that do not fit are told by their place and kind, and cost no connection" do
      type, misfit, text = kind::MISFIT
      column(type)
      before = database.sessions
      expect { put(misfit) }.to raise_error(Poolkeeper::QueryError, text)
      expect { put(Object.new) }.to raise_error(ArgumentError, /parameter 1 is of class Object/)
      expect(value).to be_nil
      expect(database.sessions).to eq(before)
    end

    it "are counted before anything is sent" do
      before = database.sessions
      sql = "INSERT INTO things VALUES (#{database.bind(1)}, #{database.bind(2)})"
      [[1], [1, "a", 3]].each do |values|
        expect { pool.with { |db| db.execute(sql, *values) } }
          .to raise_error(Poolkeeper::QueryError, /has 2 parameters, and was given #{values.size}/)
      end
      expect(ids).to eq([])
      expect(database.sessions).to eq(before)
    end
  end

  describe "answers" do
    it "tell how many rows were changed" do
      changed = pool.with do |db|
        [db.execute("INSERT INTO things VALUES (1, 'a'), (2, 'b'), (3, NULL)"),
         db.execute("UPDATE things SET name = 'c' WHERE id > 1"), db.execute("DELETE FROM things WHERE id = 9"),
         db.execute("CREATE TABLE fits (v int)"), db.execute("DELETE FROM things WHERE id = #{database.bind(1)}", 1)]
      end
      expect(changed).to eq([3, 2, 0, 0, 1])
      expect(ids).to eq([2, 3])
    end

    it "are rows with their columns in order, and none where there are none" do
      rows = pool.with do |db|
        add(db, 2, "b")
        add(db, 1)
        [db.query("SELECT id, name AS who FROM things ORDER BY id"), db.query("SELECT id FROM things WHERE id = 9")]
      end
      expect(rows).to eq([[{ id: 1, who: nil }, { id: 2, who: "b" }], []])
    end

    it "that refuse carry the server's codes, and cost no connection" do
      before = database.sessions
      pool.with { |db| add(db, 1) }
      { kind::UNIQUE => "INSERT INTO things VALUES (1, 'b')", kind::NO_TABLE => "SELECT * FROM nowhere" }
        .each do |codes, sql|
          expect { pool.with { |db| db.query(sql) } }.to raise_error(Poolkeeper::QueryError) { |error|
            expect({ sqlstate: error.sqlstate, errno: error.errno }).to eq(codes)
            expect(error.pool).to eq("native")
          }
        end
      expect(ids).to eq([1])
      expect(database.sessions).to eq(before)
    end

    it "come from a table that has changed since the statement was first run" do
      pool.with do |db|
        add(db, 1, "a")
        expect(db.query("SELECT * FROM things")).to eq([{ id: 1, name: "a" }])
        db.execute("ALTER TABLE things ADD COLUMN more varchar(9) DEFAULT 'x'")
        expect(db.query("SELECT * FROM things")).to eq([{ id: 1, name: "a", more: "x" }])
      end
    end

    it "refuse more than one statement" do
      expect { pool.with { |db| db.execute("INSERT INTO things VALUES (1, 'a'); DELETE FROM things") } }
        .to raise_error(Poolkeeper::QueryError)
      expect(ids).to eq([])
    end
  end

  describe "in a transaction" do
    it "are committed where the block ends by itself, and seen by nobody before" do
      seen = []
      value = pool.with do |db|
        db.transaction do
          add(db, 1)
          seen << ids
          :value
        end
      end
      expect([value, seen, ids]).to eq([:value, [[]], [1]])
    end

    { "raise" => -> { raise "no" }, "throw" => -> { throw :out } }.each do |way, leave|
      it "are rolled back where it ends with #{way}, and the connection goes on" do
        catch(:out) do
          pool.with do |db|
            db.transaction do
              add(db, 1)
              leave.call
            end
          end
        rescue RuntimeError => e
          expect(e.message).to eq("no")
        end
        pool.with { |db| add(db, 2) }
        expect(ids).to eq([2])
        expect(database.sessions.size).to eq(1)
      end
    end

    it "are rolled back where it ends with break, and the lease goes on" do
      pool.with do |db|
        db.transaction do
          add(db, 1)
          break
        end
      end
      pool.with do |db|
        loop do
          db.transaction do
            add(db, 2)
            raise StopIteration
          end
        end
        add(db, 3)
      end
      expect(ids).to eq([3])
    end

    it "are rolled back where the thread is killed" do
      inside = Queue.new
      thread = Thread.new do
        pool.with do |db|
          db.transaction do
            add(db, 1)
            inside << true
            sleep
          end
        end
      end
      inside.pop
      thread.kill.join
      one_connection_idle
      pool.with { |db| add(db, 2) }
      expect(ids).to eq([2])
    end

    it "are rolled back to where a transaction within it began, if that fails" do
      pool.with do |db|
        db.transaction do
          add(db, 1)
          begin
            db.transaction do
              add(db, 2)
              db.transaction { add(db, 3) }
              raise ArgumentError
            end
          rescue ArgumentError
            db.transaction { add(db, 4) }
          end
        end
      end
      expect(ids).to eq([1, 4])
    end

    it "are neither run nor committed once the server has given it up, whatever the block goes on with" do
      errors = []
      refused = lambda do |&block|
        block.call
      rescue Poolkeeper::Error => e
        errors << e
      end
      whole = lambda do
        pool.with do |db|
          db.transaction do
            add(db, 1)
            refused.call { db.transaction { database.lose_transaction(db) } } if kind::LOSES_ALL
            refused.call { database.lose_transaction(db) } unless kind::LOSES_ALL
            refused.call { add(db, 2) }
            refused.call { db.query("SELECT id FROM things") }
            refused.call { db.transaction { add(db, 3) } }
          end
        end
      end
      expect(&whole).to raise_error(Poolkeeper::QueryError, /nothing of it is committed/)
      expect(errors.map(&:class)).to eq([Poolkeeper::QueryError] * 4)
      expect(ids).to eq([])
      pool.with { |db| db.transaction { add(db, 5) } }
      expect(ids).to eq([5])
      expect(database.sessions.size).to eq(1)
    end
  end

  describe "that take long" do
    it "are ended on the server by an interrupt, and what they stood in is rolled back" do
      before = database.sessions
      interrupted = Thread.new do
        pool.with do |db|
          db.transaction do
            add(db, 1)
            db.query(kind::LONG)
          end
        end
      rescue IOError => e
        e.message
      end
      at_work
      interrupted.raise(IOError, "enough")
      expect(interrupted.value).to eq("enough")
      at_rest
      Support.wait_until(message: "nothing is at work") { pool.stats.values_at(:leased, :away) == [0, 0] }
      pool.with { |db| add(db, 2) }
      expect(ids).to eq([2])
      settled(before.size)
    end

    it "are ended by an interrupt outside of a transaction, and the same connection goes on" do
      before = database.sessions
      interrupted = Thread.new { pool.with { |db| db.query(kind::LONG) } }
      interrupted.report_on_exception = false
      at_work
      interrupted.kill.join
      at_rest
      one_connection_idle
      pool.with { |db| add(db, 2) }
      expect(ids).to eq([2])
      expect(settled(before.size)).to eq(before)
    end

    it "are ended by statement_timeout, and the connection goes on" do
      limited = Poolkeeper::Pool.new(database.url, name: "limited", size: 1, statement_timeout: 0.2)
      before = limited.with { database.sessions }
      expect { limited.with { |db| db.query(kind::LONG) } }.to raise_error(Poolkeeper::TimeoutError) { |error|
        expect([error.step, error.pool]).to eq([:query, "limited"])
      }
      at_rest
      limited.with { |db| add(db, 1) }
      expect(ids).to eq([1])
      expect(settled(before.size)).to eq(before)
    ensure
      limited&.close
    end
  end
end
