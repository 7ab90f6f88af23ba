# frozen_string_literal: true

require_relative "sql"

module Support
  module Faults
    # Jobs on native pools, for writing and for reading.
    class Native
      # @param settings [Hash] writer and reader (URLs), options (of both pools)
      def initialize(settings)
        options = settings.fetch(:options)
        @writer = Poolkeeper::Pool.new(settings.fetch(:writer), name: "writer", **options)
        @reader = Poolkeeper::Pool.new(settings.fetch(:reader), name: "reader", **options)
      end

      # In a block, leased until the release, in a transaction: by turns.
      #
      # @return [void]
      def write(worker, number)
        case number % 3
        when 0 then insert(@writer.lease, worker, number)
        when 1 then @writer.with { |db| insert(db, worker, number) }
        else @writer.with { |db| db.transaction { insert(db, worker, number) } }
        end
      end

      # @return [void]
      def read(worker)
        @reader.with { |db| db.query(Sql.count(worker)) }
      end

      # @param kind [Symbol] :read or :write
      # @return [void]
      def long(kind, seconds)
        (kind == :read ? @reader : @writer).lease.query(Sql.sleep(seconds))
      end

      # Takes and uses a connection of each pool, and keeps them.
      #
      # @return [void]
      def warm_up
        [@writer, @reader].each { |pool| pool.lease.query(Sql.count(0)) }
      end

      # As all workers do at the same time: each is given descriptors to wait with, which the next may have as well.
      #
      # @return [void]
      def wait
        @writer.lease.query(Sql.sleep(0.3))
      end

      # @return [void]
      def failed(error)
        Poolkeeper.verify(error)
      end

      # @return [void]
      def release
        Poolkeeper.release
      end

      private

      def insert(database, worker, number)
        database.execute(Sql.insert, worker, number)
      end
    end
  end
end
