# frozen_string_literal: true

module Poolkeeper
  # Whether a server takes writes, by one SELECT that every user may send. A MySQL that is super_read_only is read_only
  # too.
  #
  # @api private
  module Writable
    POSTGRESQL = "SELECT (pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on')::int AS refuses"
    # From MariaDB 12 on read_only is a word.
    MYSQL = "SELECT CAST(@@global.read_only AS CHAR) NOT IN ('0', 'OFF') OR @@global.innodb_read_only AS refuses"
    # What any database answers.
    OTHER = "SELECT 0 AS refuses"

    # @param name [String] an adapter's name, or a URL's scheme
    # @return [String] a statement that answers 0 where writes are taken
    def self.statement(name)
      case name
      when /postg/i then POSTGRESQL
      when /mysql|maria|trilogy/i then MYSQL
      else OTHER
      end
    end
  end
end
