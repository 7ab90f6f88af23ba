# frozen_string_literal: true

require "pg"
require_relative "../servers/processes"

module Support
  module Postgres
    # Looks at a node and acts on it from outside: with a connection of its own for each call, as superuser over the
    # unix socket, which shows in none of the figures that tests compare.
    module Observer
      NAME = "observer"
      # What tests ask about a client backend. Times are strings as PostgreSQL writes them.
      Backend = Struct.new(:pid, :application_name, :state, :xact_start, :client_addr, :client_port, :query,
                           :backend_start, :state_change, keyword_init: true)
      # The observer can write where applications may not, and never waits forever.
      OPTIONS = "-c default_transaction_read_only=off -c statement_timeout=30s"
      BACKENDS = <<~SQL.freeze
        SELECT #{Backend.members.join(", ")} FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND application_name <> '#{NAME}' ORDER BY backend_start
      SQL
      private_constant :OPTIONS, :BACKENDS

      # @example
      #   node.sql("SELECT count(*) FROM orders") # => [["2000"]]
      #
      # @param statements [String] one or several
      # @return [Array<Array<String, nil>>] rows of the last one
      def sql(statements)
        observe { |connection| connection.exec(statements).values }
      end

      # Lends the observer's connection, for looking more than once.
      #
      # @yieldparam connection [PG::Connection]
      def observe(options: OPTIONS)
        connection = PG.connect(host: socket_dir, port:, dbname: DATABASE, user: SUPERUSER,
                                application_name: NAME, options:, connect_timeout: 5)
        yield connection
      ensure
        connection&.close
      end

      # The backends of clients other than the observer, oldest first.
      #
      # @example
      #   node.backends(application_name: "orders", state: /idle in transaction/)
      #
      # @param where [Hash] column => a value, or what a `when` would take: a pattern, a range; or a list of such
      # @return [Array<Backend>]
      def backends(**where)
        matching(observe { |connection| connection.exec(BACKENDS).map { |row| backend(row) } }, where)
      end

      # Ends backends with pg_terminate_backend and waits until they are gone, and their clients' kernel knows, save
      # those that are frozen.
      #
      # @param pids [Integer, Array<Integer>, :all]
      # @return [Integer] number of backends terminated
      def terminate(pids)
        victims = pids == :all ? backends : backends(pid: pids)
        processes = victims.to_h { |backend| [backend, Servers::Processes.status(backend.pid)] }.compact
        list = victims.map(&:pid).join(",")
        ended = sql("SELECT pid FROM unnest('{#{list}}'::int[]) AS pid WHERE pg_terminate_backend(pid)")
        Support.wait_until(message: "terminated backends #{list} went away") do
          processes.values.none? { |process| process.running? && !process.stopped? }
        end
        await_hang_up(victims.reject { |backend| processes[backend]&.running? })
        ended.size
      end

      # Makes every transaction read-only unless it says otherwise, as on a primary that was demoted behind our back.
      # When this returns, open sessions go by it from their next statement on.
      #
      # @param read_only [Boolean]
      # @return [void]
      def read_only!(read_only)
        value = read_only ? "on" : "off"
        sql("ALTER SYSTEM SET default_transaction_read_only = #{value}")
        sql("SELECT pg_reload_conf()")
        # The postmaster signals the sessions before it serves another newcomer.
        Support.wait_until(message: "default_transaction_read_only is #{value}") do
          observe(options: "") { |c| c.exec("SHOW default_transaction_read_only").getvalue(0, 0) } == value
        end
      end

      private

      def backend(row)
        values = row.transform_keys(&:to_sym)
        Backend.new(**values, pid: values[:pid].to_i, client_port: values[:client_port]&.to_i)
      end
    end
  end
end
