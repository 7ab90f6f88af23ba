# frozen_string_literal: true

require "pg"
require_relative "../postgres"

module Support
  module Dialect
    # PostgreSQL by way of pg.
    module Postgresql
      ITEMS = "CREATE TABLE items (id serial PRIMARY KEY, n integer, worker text)"
      EMPTY_ITEMS = "TRUNCATE items RESTART IDENTITY"
      OWN_PID = "SELECT pg_backend_pid()"
      # Something for a session to hold on to, and how it says that it does.
      LINGER = "LISTEN orders"
      LINGERS = "SELECT pg_listening_channels() = 'orders'"
      # A write that ActiveRecord does not take for one.
      WRITE_IN_DISGUISE = "SELECT nextval('items_id_seq')"
      # What the server's log says of a statement, and of a client that went without a goodbye.
      STATEMENT = /statement:|parse|could not receive/
      # What it says of a log-in, whether that is let in or not.
      LOGIN = /connection received/
      # What a connection says of itself that its server ends.
      ENDED = /terminating connection|server closed the connection/

      # What the server's log says of host monitors, of any connect, of one too many, and of a user that there is not.
      MONITOR = /application_name=poolkeeper monitor/
      CONNECTS = /connection authorized: user=#{Support::Postgres::ROLE} /
      TOO_MANY = /too many connections for role/
      REFUSED_NOBODY = /role "nobody_here" does not exist/

      # What ActiveRecord has every session set, and what it sets.
      CONFIGURED = ["SHOW intervalstyle", "iso_8601"].freeze

      # A session's own limits, in the driver's words.
      LIMIT_LOCKS = "SET lock_timeout = '50ms'"
      LIMIT_IDLING = "SET idle_session_timeout = '50ms'"
      LIMIT_TRANSACTIONS = "SET idle_in_transaction_session_timeout = '50ms'"
      # What poolkeeper reads in the error after the server has made use of them: PostgreSQL says why.
      EXPIRED = :expired

      # For scripts, which know nothing of the suite.
      TERMINATE = <<~RUBY
        require "pg"
        def terminate(config = eval(ENV.fetch("DATABASE")))
          config = config.transform_keys(&:to_sym)
          client = PG.connect(host: config[:host], port: config[:port], dbname: config[:database],
                              user: config[:username])
          ended = client.exec("SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity " \\
                              "WHERE pid <> pg_backend_pid() AND usename = current_user")
          pids = ended.map { |row| row["pid"].to_i }
          client.close
          wait_until(message: "the backends are gone") { pids.none? { |pid| File.exist?("/proc/\#{pid}") } }
        end
      RUBY
      DEAD = 'PG::ConnectionBad.new("server closed the connection unexpectedly")'

      module_function

      # @param count [Integer, nil] the most connections that applications may have; nil for as many as they like
      def most_connections(count)
        "ALTER ROLE #{Support::Postgres::ROLE} CONNECTION LIMIT #{count || -1}"
      end

      def start(**options)
        Postgres.start(**options)
      end

      # The driver's class of errors for a connection that is gone.
      def dead_class
        PG::ConnectionBad
      end

      # @return [Exception] as the driver raises it on a connection that is gone
      def dead
        PG::ConnectionBad.new("server closed the connection unexpectedly")
      end

      # @return [Exception] as the driver raises it where the server allows no more connections
      def full
        PG::ConnectionBad.new("FATAL:  sorry, too many clients already")
      end

      # @return [Exception] as ActiveRecord raises it where nobody listens
      def refused
        ::ActiveRecord::ConnectionNotEstablished.new("could not connect to server: Connection refused")
      end

      # @return [String] gives the application a password, or takes it away
      def password(password)
        "ALTER ROLE #{Postgres::ROLE} PASSWORD #{password ? "'#{password}'" : "NULL"}"
      end

      # @return [String] ends a statement, and not its connection
      def cancel(pid)
        "SELECT pg_cancel_backend(#{pid})"
      end

      # @return [String] ends a connection
      def kill(pid)
        "SELECT pg_terminate_backend(#{pid})"
      end

      # @return [String] a session's own limit
      def limit_statements(seconds)
        "SET statement_timeout = #{(seconds * 1_000).to_i}"
      end

      # Runs a block while the application gets no more connections.
      def crowded(node)
        node.sql("ALTER ROLE #{Postgres::ROLE} CONNECTION LIMIT 0")
        yield
      ensure
        node.sql("ALTER ROLE #{Postgres::ROLE} CONNECTION LIMIT -1")
      end

      # @return [String] a statement of so many seconds that answers 1
      def sleep(seconds)
        "SELECT 1 FROM pg_sleep(#{seconds})"
      end

      # @return [Integer] how many connections of the application the observer's client counts
      def clients(observer)
        observer.exec("SELECT count(*) FROM pg_stat_activity WHERE usename = '#{Postgres::ROLE}'").getvalue(0, 0).to_i
      end
    end
  end
end
