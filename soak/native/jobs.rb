# frozen_string_literal: true

require "timeout"

module Soak
  module Native
    # What a worker does with the pool: each kind as a user would write it, and what it tells its journal.
    class Jobs
      KINDS = %i[single pair nested undone read leased forgotten hurried cut_off].freeze
      # Kinds that end by a Timeout, always or at times.
      LIMITED = %i[hurried cut_off].freeze

      # What an application raises to have its transaction rolled back.
      class Undo < StandardError; end

      # @param pool [Poolkeeper::Pool]
      # @param sql [Sql]
      # @param worker [Integer]
      # @param journal [Journal]
      def initialize(pool, sql, worker, journal)
        @pool = pool
        @sql = sql
        @worker = worker
        @journal = journal
      end

      # @param kind [Symbol] one of {KINDS}
      # @param random [Random]
      # @return [void]
      def call(kind, random)
        LIMITED.include?(kind) ? send(kind, random) : send(kind)
      end

      private

      def insert(database, number)
        database.execute(@sql.insert, @worker, number)
      end

      def single
        number = @journal.begin
        @pool.with { |db| insert(db, number) }
        @journal.done(number)
      end

      def pair
        numbers = [@journal.begin, @journal.begin]
        @pool.with { |db| db.transaction { numbers.each { |number| insert(db, number) } } }
        @journal.done(*numbers)
      end

      # What the inner transaction wrote goes, what the outer one wrote stays.
      def nested
        outer = @journal.begin
        inner = @journal.begin(Journal::VOID)
        @pool.with do |db|
          db.transaction do
            insert(db, outer)
            undo(db, inner)
          end
        end
        @journal.done(outer)
      end

      def undone
        number = @journal.begin(Journal::VOID)
        @pool.with { |db| undo(db, number) }
      end

      def undo(database, number)
        database.transaction do
          insert(database, number)
          raise Undo
        end
      rescue Undo
        nil
      end

      def read
        @pool.with { |db| db.query(@sql.count, @worker) }
      end

      # What worker.completed is there for.
      def leased
        number = @journal.begin
        insert(@pool.lease, number)
        @journal.done(number)
      ensure
        Poolkeeper.release
      end

      def forgotten
        number = @journal.begin(Journal::VOID)
        db = @pool.lease
        db.execute("BEGIN")
        insert(db, number)
      ensure
        Poolkeeper.release
      end

      def hurried(random)
        number = @journal.begin
        Timeout.timeout(random.rand(0.0005..0.01)) { @pool.with { |db| insert(db, number) } }
        @journal.done(number)
      end

      # In the middle of a statement and of its transaction.
      def cut_off(random)
        number = @journal.begin(Journal::VOID)
        Timeout.timeout(random.rand(0.01..0.05)) do
          @pool.with do |db|
            db.transaction do
              insert(db, number)
              db.query(@sql.long)
            end
          end
        end
      end
    end
  end
end
