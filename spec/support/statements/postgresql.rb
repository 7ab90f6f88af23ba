# frozen_string_literal: true

module Support
  module Statements
    # PostgreSQL, whose server tells the types of parameters.
    class Postgresql
      include Served

      UTC = "v AT TIME ZONE 'UTC'"
      UUID = "0b5c3d9e-6a1f-4f0b-9d59-0123456789ab"
      FITS = Statements.fits(
        ["text", "ä€", "ä€"], ["varchar(9)", "x", "x"], ["char(3)", "x", "x  ", "x  "], ["text", :word, "word", "word"],
        ["text", 7, "7", "7"], ["bytea", BYTES, "\\xff00c3"], ["bytea", "ä", "\\xc3a4", "ä".b],
        ["smallint", -7, "-7"], ["integer", 7, "7"], ["bigint", (2**63) - 1, ((2**63) - 1).to_s],
        ["numeric", 7, "7", BigDecimal("7")], ["numeric(30,5)", LARGE, LARGE.to_s("F")],
        ["numeric", 2**70, (2**70).to_s, BigDecimal(2**70)], ["numeric", 2.5, "2.5", BigDecimal("2.5")],
        ["float8", 2.5, "2.5"], ["float8", 7, "7", 7.0], ["real", 2.5, "2.5"],
        ["boolean", true, "t"], ["boolean", false, "f"], ["date", DAY, "2026-11-22"],
        ["timestamp", MOMENT, "2026-11-22 10:11:12.345678"],
        ["json", '{"a": 1}', '{"a": 1}'], ["jsonb", '{"a": 1}', '{"a": 1}'],
        ["uuid", UUID, UUID]
      ) + [Fit.new(type: "timestamptz", value: MOMENT, back: MOMENT, seen: "2026-11-22 10:11:12.345678", as: UTC)]
      # A value that has no place in its column, and how it is told.
      # Whether the whole transaction is lost with a failure, even in one within it.
      LOSES_ALL = false
      MISFIT = ["bigint", "twelve", /parameter \$1 is a String, and the server wants int8/].freeze
      UNIQUE = { sqlstate: "23505", errno: nil }.freeze
      NO_TABLE = { sqlstate: "42P01", errno: nil }.freeze
      LONG = "SELECT pg_sleep(60)"

      def url
        @node.url
      end

      def bind(number)
        "$#{number}"
      end

      # Runs a statement with which a transaction is lost.
      def lose_transaction(connection)
        connection.query("SELECT 1/0")
      end
    end
  end
end
