# frozen_string_literal: true

require_relative "../../spec/support/mariadb"

module Demo
  # What the demo has to know of MariaDB, and of what mysql2 says.
  module Mariadb
    NAME = "MariaDB"
    SCHEMA = File.expand_path("schema.sql", __dir__)
    # The outside client's errors.
    ERROR = Mysql2::Error
    # What mysql2 says when it could not open a connection; all other trouble is that of one that was open.
    REFUSED = /Can't connect to|Lost connection to server at/
    # What the driver raises when an open connection turns out to be gone: class and text.
    LOST = {
      "Mysql2::Error::ConnectionError" => //,
      "Mysql2::Error" => /client is not connected|closed MySQL connection|Server shutdown in progress/
    }.freeze
    ROWS = <<~SQL
      SELECT count(DISTINCT topic, `partition`, `offset`), coalesce(sum(deliveries - 1), 0),
             (SELECT count(*) FROM audits)
      FROM orders
    SQL
    # The column's name, as the server takes it.
    PARTITION = "`partition`"
    # What the server calls the sessions of the trail's pool: a native pool tells MariaDB no name, and nobody else here
    # does without.
    TRAIL = nil
    STARTED = /^.*, Version: .* started with:$/
    CONNECTED = /\t *(\d+) Connect\tpoolkeeper@/
    LEFT = /\t *(\d+) Quit/
    NOTE = "The forgotten transaction was begun through ActiveRecord: over mysql2, nobody can tell of one that was " \
           "begun by a BEGIN of one's own."
    private_constant :STARTED, :CONNECTED, :LEFT

    module_function

    def start(&block)
      Support::Mariadb.start(standby: true, &block)
    end

    # @return [Hash] how a connection says whose it is, for `backends(application_name:)`
    def named(name)
      { connect_attrs: { program_name: name } }
    end

    # @return [String] for a native pool
    def native_url(node)
      node.url.sub("mysql2:", "mariadb:")
    end

    # The server does not log which connections it ends, but who came and who left.
    #
    # @param log [String] the primary's, of this run
    # @return [String] which connections it ended by the restart
    def ended_by_restart(log)
      before, _, since = log.rpartition(STARTED)
      open = [before, since].map { |part| (part.scan(CONNECTED) - part.scan(LEFT)).size }
      "#{open.first} connections were open when it went"
    end
  end
end
