# frozen_string_literal: true

module Support
  module Statements
    # MariaDB, which fits each value to its column by itself.
    class Mariadb
      include Served

      HEX = "HEX(v)"
      FITS = Statements.fits(
        ["text", "ä€", "ä€"], ["varchar(9) COLLATE utf8mb4_bin", "x", "x"], ["char(3)", "x", "x"],
        ["text", :word, "word", "word"], ["text", 7, "7", "7"], ["json", '{"a": 1}', '{"a": 1}'],
        ["enum('a', 'b')", "b", "b"], ["set('a', 'b')", "a,b", "a,b"],
        ["tinyint", -7, "-7"], ["smallint", 7, "7"], ["mediumint", 7, "7"], ["int", -7, "-7"],
        ["bigint", (2**63) - 1, ((2**63) - 1).to_s], ["int unsigned", (2**32) - 1, ((2**32) - 1).to_s],
        ["bigint unsigned", 7, "7"], ["bigint unsigned", (2**64) - 1, ((2**64) - 1).to_s, BigDecimal((2**64) - 1)],
        ["decimal(30,5)", LARGE, LARGE.to_s("F")], ["decimal(30,0)", 2**70, (2**70).to_s, BigDecimal(2**70)],
        ["decimal(9,2)", 7, "7.00", BigDecimal("7")], ["decimal(9,2)", 2.5, "2.50", BigDecimal("2.5")],
        ["double", 2.5, "2.5"], ["double", 7, "7", 7.0], ["float", 2.5, "2.5"],
        ["boolean", true, "1"], ["boolean", false, "0"], ["int", true, "1", 1], ["year", 2026, "2026"],
        ["date", DAY, "2026-11-22"], ["datetime(6)", MOMENT, "2026-11-22 10:11:12.345678"],
        ["timestamp(6) null", MOMENT, "2026-11-22 10:11:12.345678"],
        ["time(6)", "-101:02:03.000004", "-101:02:03.000004"], ["time", "01:02:03", "01:02:03"]
      ) + [["blob", BYTES, "FF00C3", BYTES], ["varbinary(9)", BYTES, "FF00C3", BYTES], ["blob", "ä", "C3A4", "ä".b],
           ["bit(10)", 515, "203", 515]].map do |type, value, seen, back|
            Fit.new(type:, value:, seen:, back:, as: HEX)
          end
      LOSES_ALL = true
      MISFIT = ["double", Float::NAN, /parameter 1 is a Float, and the server cannot take it/].freeze
      UNIQUE = { sqlstate: "23000", errno: 1062 }.freeze
      NO_TABLE = { sqlstate: "42S02", errno: 1146 }.freeze
      LONG = "SELECT SLEEP(60)"
      WAITING = "SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'UPDATE locks SET id = 10 %'"

      def url
        @node.url.sub("mysql2:", "mariadb:")
      end

      def bind(_number)
        "?"
      end

      # A deadlock with another client, whose transaction has done more and is kept.
      def lose_transaction(connection)
        @node.sql("CREATE OR REPLACE TABLE locks (id int PRIMARY KEY) SELECT 1 AS id UNION SELECT 2")
        connection.execute("UPDATE locks SET id = id + 10 WHERE id = 1")
        other = Thread.new { hold_and_wait }
        Support.wait_until(message: "the other client has its row and asks for ours") { @node.sql(WAITING) == [["1"]] }
        connection.execute("UPDATE locks SET id = id + 10 WHERE id = 2")
      ensure
        other&.join
      end

      private

      # One by one: between statements of one text, mysql2 waits without letting other threads run.
      def hold_and_wait
        more = Array.new(100) { |number| "(#{number + 100})" }.join(", ")
        @node.observe do |client|
          ["START TRANSACTION", "INSERT INTO locks VALUES #{more}", "UPDATE locks SET id = 20 WHERE id = 2",
           "UPDATE locks SET id = 10 WHERE id = 1", "ROLLBACK"].each { |sql| client.query(sql) }
        end
      end
    end
  end
end
