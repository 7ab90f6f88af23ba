# frozen_string_literal: true

require "open3"
require_relative "pools"

module Demo
  module Embedded
    # What can be counted from outside the consumer: by a pool of this process, by the kernel, and by the program
    # sqlite3 where there is one.
    class Tally
      ORDERS = 'SELECT count(*) AS n FROM (SELECT DISTINCT topic, partition, "offset" FROM orders)'
      AGAIN = "SELECT coalesce(sum(deliveries - 1), 0) AS n FROM orders"
      FORGOTTEN = "SELECT count(*) AS n FROM audits"
      AUDIT = "SELECT count(*) AS n FROM audit"

      # @param file [String] the database's, which need not be there yet
      def initialize(file)
        @file = file
      end

      # @return [Integer] orders in the table
      def written
        number(ORDERS)
      end

      # @return [Array(Integer, Integer, Integer)] orders by their unique key, deliveries of those that were there
      #   already, rows of the forgotten transaction
      def rows
        [ORDERS, AGAIN, FORGOTTEN].map { |sql| number(sql) }
      end

      # @return [Array<Array<Integer>>] the rows of the trail, as {Trail.batch} names a batch
      def trail
        pool.with { |db| db.query("SELECT partition, first_offset, last_offset, orders FROM audit") }.map(&:values)
      end

      # A transaction that somebody left open holds it.
      #
      # @return [Boolean] whether this process gets the lock for writing
      def writable?
        pool.with { |db| db.transaction { true } }
      rescue Poolkeeper::Error
        false
      end

      # @return [Boolean] whether SQLite finds nothing wrong with the file
      def whole?
        pool.with { |db| db.query("PRAGMA integrity_check") }.map(&:values) == [["ok"]]
      end

      # @param pid [Integer]
      # @return [Integer, nil] how often a process has the file open; nil where the kernel does not tell
      def descriptors(pid)
        path = File.realpath(@file)
        Dir.children("/proc/#{pid}/fd").count { |descriptor| target(pid, descriptor) == path }
      rescue Errno::ENOENT
        nil
      end

      # @return [Array(Integer, Integer), nil] orders and rows of the trail as the program sqlite3 counts them; nil
      #   without the program
      def by_sqlite3
        [ORDERS, AUDIT].map do |sql|
          said, status = Open3.capture2("sqlite3", "-readonly", @file, sql)
          raise Poolkeeper::Error, "sqlite3 could not read #{@file}" unless status.success?

          Integer(said)
        end
      rescue Errno::ENOENT
        nil
      end

      # @return [void]
      def close
        @pool&.close
      end

      private

      def pool
        @pool ||= Poolkeeper::Pool.new(Embedded.url(@file), name: "outside", size: 1)
      end

      def number(sql)
        pool.with { |db| db.query(sql).first[:n] }
      end

      def target(pid, descriptor)
        File.readlink("/proc/#{pid}/fd/#{descriptor}")
      rescue Errno::ENOENT
        # Closed since it was listed.
        nil
      end
    end
  end
end
