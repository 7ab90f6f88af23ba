# frozen_string_literal: true

require "tmpdir"

module Support
  module Statements
    # SQLite, which has no server: another client is another pool, and a session is a thread.
    class Sqlite
      QUOTED = "typeof(v) || ' ' || quote(v)"
      DIGITS = LARGE.to_s("F").encode("UTF-8")
      FITS = [
        ["text", "ä€", "text 'ä€'"], ["text", :word, "text 'word'", "word"], ["text", 7, "text '7'", "7"],
        ["integer", 7, "integer 7"], ["bigint", (2**63) - 1, "integer #{(2**63) - 1}"],
        ["real", 2.5, "real 2.5"], ["real", 7, "real 7.0", 7.0], ["numeric", BigDecimal("2.5"), "real 2.5", 2.5],
        ["text", LARGE, "text '#{DIGITS}'", DIGITS],
        ["blob", BYTES, "blob X'FF00C3'"], ["boolean", true, "integer 1"], ["boolean", false, "integer 0"],
        ["integer", true, "integer 1", 1], ["date", DAY, "text '2026-11-22'"],
        ["datetime", MOMENT, "text '2026-11-22 10:11:12.345678'"],
        ["datetime(6)", MOMENT, "text '2026-11-22 10:11:12.345678'"],
        ["timestamp", MOMENT, "text '2026-11-22 10:11:12.345678'"],
        ["datetime", DAY, "text '2026-11-22'", Time.utc(2026, 11, 22)],
        ["datetime", "tomorrow", "text 'tomorrow'"]
      ].map do |type, value, seen, *back|
        Fit.new(type:, value:, seen:, back: back.empty? ? value : back.first, as: QUOTED)
      end
      LOSES_ALL = true
      MISFIT = ["real", Float::NAN, /parameter 1 is a Float, and SQLite cannot take it/].freeze
      UNIQUE = { sqlstate: nil, errno: 1555 }.freeze
      NO_TABLE = { sqlstate: nil, errno: 1 }.freeze
      # Hundredths of a second of a processor's time; no other statement here takes one.
      TICKS = 10
      LONG = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"

      def initialize
        @folder = Dir.mktmpdir("poolkeeper-sqlite-")
        @other = Poolkeeper::Pool.new(url, name: "other", size: 1)
        # Its thread, and what earlier examples may have left.
        @others = @other.with { |db| db.ping && threads }
      end

      def url
        "sqlite:#{@folder}/a.db"
      end

      def bind(_number)
        "?"
      end

      def outside(sql)
        @other.with { |db| db.query(sql).map { |row| row.values.map { |value| value&.to_s } } }
      end

      # Those of the driver's threads, without our other client's.
      def sessions
        threads - @others
      end

      # At work for so long that it is no short statement.
      def busy?
        sessions.any? { |thread| running?(thread) }
      end

      def lose_transaction(connection)
        connection.execute("INSERT OR ROLLBACK INTO things VALUES (1, 'again'), (1, 'again')")
      end

      def close
        @other.close
        # With force: SQLite removes files of its own in the background, where the last connection closes.
        FileUtils.remove_entry(@folder, true)
      end

      private

      def running?(thread)
        fields = File.read("/proc/self/task/#{thread}/stat").rpartition(") ").last.split
        state, user, system = fields.values_at(0, 11, 12)
        state == "R" && user.to_i + system.to_i >= TICKS
      rescue Errno::ENOENT, Errno::ESRCH
        false
      end

      def threads
        Dir["/proc/self/task/*/comm"].filter_map do |path|
          path[%r{task/(\d+)/}, 1].to_i if File.read(path).start_with?("pk-sqlite-")
        rescue Errno::ENOENT, Errno::ESRCH
          nil
        end
      end
    end
  end
end
