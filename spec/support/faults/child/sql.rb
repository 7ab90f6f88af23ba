# frozen_string_literal: true

module Support
  module Faults
    # What the jobs say to a server, by the family it is of.
    module Sql
      module_function

      # @return [String] with parameters, for native pools
      def insert
        marks = mariadb? ? "?, ?" : "$1, $2"
        "INSERT INTO numbers (worker, number) VALUES (#{marks})"
      end

      # @return [String] what takes no longer with many rows
      def count(worker)
        "SELECT max(number) FROM numbers WHERE worker = #{worker}"
      end

      # @return [String] a query of so many seconds
      def sleep(seconds)
        mariadb? ? "SELECT 1 FROM (SELECT SLEEP(#{seconds})) AS slept" : "SELECT 1 FROM pg_sleep(#{seconds})"
      end

      def mariadb?
        ENV["POOLKEEPER_DATABASE"] == "mariadb"
      end
    end
  end
end
