# frozen_string_literal: true

require "mysql2"
require_relative "../servers/processes"

module Support
  module Mariadb
    # Looks at a node and acts on it from outside: with a connection of its own for each call, as superuser over the
    # unix socket, which shows in none of the figures that tests compare.
    module Observer
      # What tests ask about a client's connection; `pid` is the number that the server gave it, for KILL. Times are
      # strings as MariaDB writes them. `application_name` is the program_name among the connection's attributes.
      Backend = Struct.new(:pid, :application_name, :state, :xact_start, :client_addr, :client_port, :query, :command,
                           keyword_init: true)
      # Statements of the observer are not in the general log, and none waits forever.
      OPTIONS = "SET SESSION sql_log_off = ON, max_statement_time = 30"
      BACKENDS = <<~SQL.freeze
        SELECT p.id AS pid, p.tid AS thread, p.query_id AS statement, a.attr_value AS application_name, p.command,
               CASE WHEN p.command <> 'Sleep' THEN 'active'
                    WHEN x.state = 'ACTIVE' THEN 'idle in transaction' ELSE 'idle' END AS state,
               IF(x.state = 'ACTIVE', NOW(6) - INTERVAL x.timer_wait DIV 1000000 MICROSECOND, NULL) AS xact_start,
               SUBSTRING_INDEX(p.host, ':', 1) AS client_addr,
               SUBSTRING_INDEX(IF(p.host LIKE '%:%', p.host, '-1'), ':', -1) AS client_port,
               COALESCE(p.info, s.sql_text) AS query
        FROM information_schema.processlist p
        JOIN performance_schema.threads t ON t.processlist_id = p.id
        LEFT JOIN performance_schema.session_connect_attrs a
               ON a.processlist_id = p.id AND a.attr_name = 'program_name'
        LEFT JOIN performance_schema.events_transactions_current x ON x.thread_id = t.thread_id
        LEFT JOIN performance_schema.events_statements_current s
               ON s.thread_id = t.thread_id AND s.nesting_event_level = 0
        WHERE p.user = '#{ROLE}' ORDER BY p.id
      SQL
      # Seconds that a thread may be at work before it is taken for one that still is in the middle of a statement.
      AT_WORK = 0.5
      # KILL of a connection that has gone already.
      NO_SUCH_CONNECTION = 1094
      TOO_MANY_CONNECTIONS = 1040
      private_constant :OPTIONS, :BACKENDS, :AT_WORK, :NO_SUCH_CONNECTION, :TOO_MANY_CONNECTIONS

      # @example
      #   node.sql("SELECT count(*) FROM orders") # => [["2000"]]
      #
      # @param statements [String] one or several
      # @return [Array<Array<String, nil>>] rows of the last one
      def sql(statements)
        observe { |client| rows(client, statements) }
      end

      # Lends the observer's connection, for looking more than once.
      #
      # @yieldparam client [Mysql2::Client] whose `query` answers with arrays of strings
      def observe
        client = Support.wait_until(message: "#{name} had a connection left for the observer") { observer }
        yield client
      ensure
        client&.close
      end

      # The connections of clients other than the observer and the standby, oldest first.
      #
      # @example
      #   node.backends(application_name: "orders", state: /idle in transaction/)
      #
      # @param where [Hash] column => a value, or what a `when` would take: a pattern, a range; or a list of such
      # @return [Array<Backend>]
      def backends(**where)
        matching(observe { |client| settled(client).map { |row| backend(row) } }, where)
      end

      # Ends connections with KILL and waits until they are gone, and their clients' kernel knows.
      #
      # @param pids [Integer, Array<Integer>, :all]
      # @return [Integer] number of connections ended
      def terminate(pids)
        found = pids == :all ? backends : backends(pid: pids)
        victims = found.map(&:pid)
        observe do |client|
          ended = kill_connections(client, victims)
          Support.wait_until(message: "killed connections #{victims} went away") do
            (client.query("SELECT id FROM information_schema.processlist").map { |row| row[0].to_i } & victims).empty?
          end
          await_hang_up(found)
          ended
        end
      end

      # Makes the server refuse the application's writes, as a primary that was demoted behind our back. When this
      # returns, open sessions go by it from their next statement on.
      #
      # @param read_only [Boolean]
      # @return [void]
      def read_only!(read_only)
        @settings = { **@settings, read_only: }
        configure
        sql("SET GLOBAL read_only = #{read_only ? "ON" : "OFF"}")
      end

      private

      # The server keeps one connection more than max_connections for a superuser. An application that is just being
      # refused takes it for a moment.
      def observer
        Mysql2::Client.new(socket:, username: SUPERUSER, database: DATABASE, encoding: "utf8mb4",
                           connect_timeout: 5, read_timeout: 35, init_command: OPTIONS,
                           flags: Mysql2::Client::MULTI_STATEMENTS, as: :array, cast: false)
      rescue Mysql2::Error => e
        raise unless e.error_number == TOO_MANY_CONNECTIONS
      end

      def rows(client, statements)
        result = client.query(statements)
        result = client.store_result while client.next_result
        result.to_a
      end

      # A client has its answer a moment before its connection counts as idle. So a connection is taken for active when
      # its thread waits for something in the middle of a statement, or else is at work for long.
      def settled(client)
        deadline = Support.now + AT_WORK
        found = client.query(BACKENDS, as: :hash).to_a
        until active(found).empty?
          waiting = active(found).all? { |row| Servers::Processes.status("#{pid}/task/#{row["thread"]}")&.state == "S" }
          before = found
          found = client.query(BACKENDS, as: :hash).to_a
          break if (waiting && statements(found) == statements(before)) || Support.now > deadline
        end
        found
      end

      def active(found)
        found.select { |row| row["state"] == "active" }
      end

      def statements(found)
        active(found).map { |row| row.values_at("pid", "statement") }
      end

      # In one statement: between two of them whoever has lost the first connection may be at work on the second.
      def kill_connections(client, pids)
        kills = pids.map { |pid| "KILL CONNECTION #{pid};" }.join(" ")
        gone = client.query("BEGIN NOT ATOMIC DECLARE gone INT DEFAULT 0; DECLARE CONTINUE HANDLER FOR " \
                            "#{NO_SUCH_CONNECTION} SET gone = gone + 1; #{kills} SELECT gone; END").first.first.to_i
        client.abandon_results!
        pids.size - gone
      end

      def backend(row)
        values = row.transform_keys(&:to_sym).slice(*Backend.members)
        Backend.new(**values, pid: values[:pid].to_i, client_port: values[:client_port].to_i)
      end
    end
  end
end
