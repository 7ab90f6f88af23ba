# frozen_string_literal: true

module Soak
  module Native
    # What is said to a server, by the family it is of.
    class Sql
      TABLE = "CREATE TABLE numbers (worker integer NOT NULL, number integer NOT NULL)"
      # Longer than anybody waits: one that its Timeout does not end on the server too is seen there at the end.
      LONG = 60
      private_constant :LONG

      # @return [Hash] settings of the server: nobody reads a log of every statement
      def settings
        mariadb? ? { general_log: false } : {}
      end

      # @param node [Support::Servers::Node]
      # @return [String] for a native pool
      def url(node)
        node.url.sub("mysql2:", "mariadb:")
      end

      # @return [String]
      def insert
        @insert ||= "INSERT INTO numbers (worker, number) VALUES (#{mark(1)}, #{mark(2)})"
      end

      # @return [String]
      def count
        @count ||= "SELECT count(*) AS n FROM numbers WHERE worker = #{mark(1)} AND number < 100"
      end

      # @return [String] a statement that a Timeout ends
      def long
        @long ||= Support::Dialect.current.sleep(LONG)
      end

      private

      def mark(number)
        mariadb? ? "?" : "$#{number}"
      end

      def mariadb?
        Support::Dialect.family == :mariadb
      end
    end
  end
end
