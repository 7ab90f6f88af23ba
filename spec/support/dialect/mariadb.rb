# frozen_string_literal: true

require "mysql2"
require_relative "../mariadb"

module Support
  module Dialect
    # MariaDB by way of mysql2.
    module Mariadb
      ITEMS = "CREATE TABLE items (id integer AUTO_INCREMENT PRIMARY KEY, n integer, worker text); " \
              "CREATE SEQUENCE disguise"
      EMPTY_ITEMS = "TRUNCATE TABLE items"
      OWN_PID = "SELECT CONNECTION_ID()"
      # Something for a session to hold on to, and how it says that it does.
      LINGER = "SELECT GET_LOCK('orders', 5)"
      LINGERS = "SELECT IS_USED_LOCK('orders') = CONNECTION_ID()"
      # A write that ActiveRecord does not take for one.
      WRITE_IN_DISGUISE = "SELECT NEXTVAL(disguise)"
      # What the server's log says of a statement, and of a client that says goodbye.
      STATEMENT = /\t *\d+ (?:Query|Quit|Prepare|Execute)\t?/
      # What it says of a log-in, whether that is let in or not.
      LOGIN = /\t *\d+ Connect\t/
      # What a connection says of itself that its server ends.
      ENDED = /Lost connection|Server has gone away|not connected/

      # What the server's log says of host monitors, of any connect, of one too many (refused without a word, so
      # that each question takes another), and of a user that there is not.
      MONITOR = /@@global\.read_only/
      CONNECTS = / Connect\tpoolkeeper@/
      TOO_MANY = /(?: Connect\tpoolkeeper@.*\n.*?){4}/
      REFUSED_NOBODY = /Access denied for user 'nobody_here'/

      # What ActiveRecord has every session set, and what it sets.
      CONFIGURED = ["SELECT @@wait_timeout", 2_147_483].freeze

      # A session's own limits, in the server's words. Where it knows whole seconds only, none at all would be 0.
      LIMIT_LOCKS = "SET SESSION innodb_lock_wait_timeout = 0"
      LIMIT_IDLING = "SET SESSION wait_timeout = 1"
      LIMIT_TRANSACTIONS = "SET SESSION idle_transaction_timeout = 1"
      # What poolkeeper reads in the error after the server has made use of them: MariaDB hangs up without a word.
      EXPIRED = :dead

      # For scripts, which know nothing of the suite.
      TERMINATE = <<~RUBY
        require "mysql2"
        def terminate(config = eval(ENV.fetch("DATABASE")))
          config = config.transform_keys(&:to_sym)
          client = Mysql2::Client.new(config.slice(:host, :port, :database, :username))
          others = "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND user = '\#{config[:username]}'"
          client.query(others).each { |row| client.query("KILL CONNECTION \#{row["id"]}") }
          wait_until(message: "the connections are gone") { client.query(others).none? }
          client.close
        end
      RUBY
      DEAD = 'Mysql2::Error::ConnectionError.new("Lost connection to server during query", nil, 2013, "HY000")'

      module_function

      # @param count [Integer, nil] the most connections that applications may have; nil for as many as they like
      def most_connections(count)
        "ALTER USER #{Support::Mariadb::ROLE} WITH MAX_USER_CONNECTIONS #{count || 0}"
      end

      def start(**options)
        Support::Mariadb.start(**options)
      end

      # The driver's class of errors for a connection that is gone.
      def dead_class
        Mysql2::Error::ConnectionError
      end

      # @return [Exception] as the driver raises it on a connection that is gone
      def dead
        Mysql2::Error::ConnectionError.new("Lost connection to server during query", nil, 2013, "HY000")
      end

      # @return [Exception] as the driver raises it where the server allows no more connections
      def full
        Mysql2::Error.new("Too many connections", nil, 1040, "08004")
      end

      # @return [Exception] as ActiveRecord raises it where nobody listens
      def refused
        ::ActiveRecord::ConnectionNotEstablished.new("Can't connect to server on '127.0.0.1' (115)")
      end

      # @return [String] gives the application a password, or takes it away
      def password(password)
        # Not for the standby, which would follow at its own time.
        "SET SESSION sql_log_bin = OFF; ALTER USER #{Support::Mariadb::ROLE} IDENTIFIED BY '#{password}'"
      end

      # @return [String] ends a statement, and not its connection
      def cancel(pid)
        "KILL QUERY #{pid}"
      end

      # @return [String] ends a connection
      def kill(pid)
        "KILL CONNECTION #{pid}"
      end

      # @return [String] a session's own limit
      def limit_statements(seconds)
        "SET SESSION max_statement_time = #{seconds}"
      end

      OTHER_OBSERVERS = "count(*) FROM information_schema.processlist " \
                        "WHERE user = SUBSTRING_INDEX(USER(), '@', 1) AND id <> CONNECTION_ID()"
      CONNECTIONS = "variable_value FROM information_schema.global_status WHERE variable_name = 'Threads_connected'"
      private_constant :OTHER_OBSERVERS, :CONNECTIONS

      # Runs a block while the application gets no more connections.
      def crowded(node, &block)
        node.observe { |observer| crowded_with(observer, node.config.except(:adapter), &block) }
      end

      # The observer stays, and is one of those who are there: whoever else has looked is about to go.
      def crowded_with(observer, config)
        ask = ->(sql) { observer.query("SELECT #{sql}").first.first.to_i }
        Support.wait_until { ask.call(OTHER_OBSERVERS).zero? }
        limit = ask.call("@@max_connections")
        there = ask.call(CONNECTIONS)
        # No more than there are, or as few as the server can be told to allow.
        most = [there, 10].max
        observer.query("SET GLOBAL max_connections = #{most}")
        crowd = Array.new(most - there) { Mysql2::Client.new(config) }
        yield
      ensure
        crowd&.each(&:close)
        observer.query("SET GLOBAL max_connections = #{limit}") if limit
      end

      # @return [String] a statement of so many seconds that answers 1
      def sleep(seconds)
        "SELECT 1 FROM (SELECT SLEEP(#{seconds})) AS slept"
      end

      # @return [Integer] how many connections of the application the observer's client counts
      def clients(observer)
        sql = "SELECT count(*) FROM information_schema.processlist WHERE user = '#{Support::Mariadb::ROLE}'"
        observer.query(sql).first.first.to_i
      end
    end
  end
end
