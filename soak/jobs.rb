# frozen_string_literal: true

module Soak
  # What a job does: each kind a few statements, and the rows it writes.
  class Jobs
    # Rows by kind of job.
    ROWS = { create: 1, insert_all: 2, nested: 2, rolled_back: 0, read: 0, left: 1, borrowed: 1, raw: 1, async: 0,
             refused: 0, listening: 0 }.freeze
    # The row that is there from the start, by its id.
    FIRST = 1_000_000_000

    def initialize(database)
      @database = database
      @item = Support::Models::Item
      @item.create!(id: FIRST, n: 0)
      # Whatever only some versions can do is a kind only there.
      @kinds = ROWS.keys.select { |kind| kind != :async || @item.all.respond_to?(:load_async) }
      ::ActiveRecord.async_query_executor = :global_thread_pool if @kinds.include?(:async)
    end

    # @return [Integer] the rows it has written
    def call(number)
      kind = @kinds[number % @kinds.size]
      send(kind, number)
      ROWS.fetch(kind)
    end

    private

    def create(number)
      @item.create!(n: number)
    end

    def insert_all(number)
      @item.insert_all([{ n: number }, { n: number }])
    end

    # A release inside a block that runs leaves it alone.
    def nested(number)
      @item.transaction do
        @item.create!(n: number)
        Poolkeeper.release
        @item.transaction(requires_new: true) { @item.create!(n: number) }
      end
    end

    def rolled_back(number)
      @item.transaction do
        @item.create!(n: number)
        raise ::ActiveRecord::Rollback
      end
    end

    def read(_number)
      @database.hold(role: :reading).select_value("SELECT count(*) FROM items WHERE n = 1")
    end

    # What worker.completed is there for: leases in two roles.
    def left(number)
      @database.hold.execute("INSERT INTO items (n) VALUES (#{number})")
      @database.hold(role: :reading).select_value("SELECT 1")
    end

    def borrowed(number)
      @database.writing_pool.with_connection { |adapter| adapter.execute("INSERT INTO items (n) VALUES (#{number})") }
    end

    def raw(number)
      pool = @database.writing_pool
      adapter = pool.checkout
      adapter.execute("INSERT INTO items (n) VALUES (#{number})")
    ensure
      pool.checkin(adapter) if adapter
    end

    def async(number)
      @item.where(n: number).load_async.to_a
    end

    # The application's own error is no fault of a connection.
    def refused(number)
      @item.create!(id: FIRST, n: number)
      raise "a second row with the first one's id"
    rescue ::ActiveRecord::RecordNotUnique => e
      Poolkeeper.verify(e) and raise "taken for a fault: #{e.message}"
    end

    # On PostgreSQL the connection goes back listening, and each notice makes it readable.
    def listening(_number)
      @database.hold.execute(Support::Dialect.family == :postgresql ? "LISTEN orders" : "SELECT 1")
    end
  end
end
