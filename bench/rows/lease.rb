# frozen_string_literal: true

module Bench
  # A lease and its release where a connection is idle: what every use of a pool pays.
  class Lease
    SIZE = 8
    ROUNDS = 60
    TURNS = 2_000
    # Those that speak to the server at each turn.
    FEWER = 200
    TIMES_CHEAPER = 15
    # Nanoseconds.
    LIMIT = 300
    OURS = "Poolkeeper::Pool lease, release"
    BLOCK = "Poolkeeper::Pool with {}"
    # The target is a multiple of these.
    JUDGES = ["connection_pool checkout, checkin", "Sequel synchronize {}"].freeze
    RUST = { "sqlx-test-off" => "sqlx::Pool, test off", "sqlx-test-on" => "sqlx::Pool, test on",
             "deadpool-managed" => "deadpool", "deadpool-unmanaged" => "deadpool, unmanaged" }.freeze
    private_constant :OURS, :BLOCK

    # @param node [Support::Postgres::Node]
    # @return [Array<Result>]
    def call(node)
      rounds = Hash.new { |all, name| all[name] = [] }
      Peers.open(node.url, SIZE) do |rust|
        Child.run(->(line) { live(line, node) }) do |child|
          # What cannot be measured here is named where the rest is.
          @missing = child.ask(:missing)
          @missing["Rust"] = "not built" unless rust
          names = child.ask(:names) + (rust ? RUST.keys : [])
          ROUNDS.times do |round|
            # Small rounds in changing order: whatever else keeps the cores busy meets all of them.
            names.rotate(round).each { |name| rounds[name] << one_round(name, child, rust) }
          end
        end
      end
      figures(rounds)
    end

    private

    def one_round(name, child, rust)
      return child.ask(name) unless RUST.key?(name)

      rust.turns(name, name.start_with?("sqlx") ? FEWER : TURNS).first
    end

    def live(line, node)
      @missing = {}
      turns = ours(node).merge(connection_pool(node), sequel(node), active_record(node))
      turns.each_value { |turn| 2.times { turn.call } }
      loop do
        case (question = line.hear)
        when :missing then line.tell(@missing)
        when :names then line.tell(turns.keys)
        else line.tell(Clock.per_turn(TURNS, &turns.fetch(question)))
        end
      end
    end

    def ours(node)
      pool = Native.open(node.url, SIZE)
      Native.each(pool, SIZE) { |db| db.query("SELECT 1") }
      pair = lambda do
        pool.lease
        pool.release
      end
      { "nothing" => -> {}, OURS => pair, BLOCK => -> { pool.with {} } }
    end

    def connection_pool(node)
      require "connection_pool"
      pool = ConnectionPool.new(size: SIZE) { PG.connect(node.url) }
      pair = lambda do
        pool.checkout
        pool.checkin
      end
      { "connection_pool checkout, checkin" => pair, "connection_pool with {}" => -> { pool.with {} } }
    rescue LoadError
      missing("connection_pool", "not installed (ruby-connection-pool)")
    end

    def sequel(node)
      require "sequel"
      database = Sequel.connect(node.url.sub("postgresql:", "postgres:"), max_connections: SIZE)
      { "Sequel synchronize {}" => -> { database.synchronize {} } }
    rescue LoadError
      missing("Sequel", "not installed (ruby-sequel)")
    end

    def active_record(node)
      ActiveRecord::Base.establish_connection(node.config(pool: SIZE))
      pool = ActiveRecord::Base.connection_pool
      { "ActiveRecord checkout, checkin" => -> { pool.checkin(pool.checkout) } }
    end

    def missing(name, why)
      @missing[name] = why
      {}
    end

    def figures(rounds)
      # What the loop costs is no part of any; in Rust it costs nothing that could be measured.
      nothing = rounds.delete("nothing")
      # How fast the cores were just now: a busy neighbour makes all that follows twice as dear.
      puts "  an empty turn, subtracted            median #{Clock.median(nothing).round} ns"
      rounds.each do |name, times|
        times.map!.with_index { |time, index| time - nothing[index] } unless RUST.key?(name)
        puts "  #{title(name).ljust(36)} median #{Clock.median(times).round} ns (#{Clock.spread(times)})"
      end
      @missing.each { |name, why| puts "  #{name.ljust(36)} #{why}" }
      [result(rounds.transform_values { |times| Clock.median(times) })]
    end

    def title(name)
      RUST.fetch(name, name)
    end

    def result(medians)
      ours = medians.delete(OURS)
      block = medians.delete(BLOCK)
      ratios = medians.slice(*JUDGES).transform_values { |theirs| theirs / ours }
      beside = medians.map { |name, time| "#{title(name)} #{time.round} ns" } +
               @missing.map { |name, why| "#{name}: #{why}" }
      Result.new(what: "lease and release of an idle connection",
                 poolkeeper: "#{ours.round} ns; `with` #{block.round} ns",
                 beside: beside.join("; "), ratio: ratios.values.map { |ratio| format("%.1f", ratio) }.join(", "),
                 target: "#{TIMES_CHEAPER} times cheaper than connection_pool and Sequel, under #{LIMIT} ns",
                 met: ours < LIMIT && ratios.any? && ratios.values.min >= TIMES_CHEAPER)
    end
  end
end
