# frozen_string_literal: true

module Bench
  # Statements after a restart of the server, with pooled connections; and how often the server is asked for a statement
  # when all is well: a pool may buy the first with the second.
  class NativeRestart
    SIZE = 8
    # Each is a statement on every connection.
    BATCHES = 3
    ROUNDS = 5
    STATEMENTS = SIZE * BATCHES
    PEERS = { "poolkeeper" => "poolkeeper", "sqlx-test-off" => "sqlx::Pool without test",
              "sqlx-test-on" => "sqlx::Pool with test" }.freeze

    # @param node [Support::Postgres::Node]
    # @return [Array<Result>]
    def call(node)
      # A relay each: what a peer sends is told from what the others do.
      @relays = PEERS.transform_values { Relay.new(node.port) }
      with_peers(node) do |peers|
        peers.each_value { |peer| peer.call(:fill) }
        trips = peers.to_h { |name, peer| [name, trips(name, peer)] }
        failed = peers.transform_values { [] }
        ROUNDS.times { |round| restart(node, peers, round).each { |name, count| failed[name] << count } }
        show(failed, trips)
        [result(failed, trips)]
      end
    ensure
      @relays&.each_value(&:close)
    end

    private

    # @yieldparam peers [Hash] what asks each; only those of which there are
    def with_peers(node)
      Child.run(->(line) { live(line, url(node, "poolkeeper")) }) do |child|
        Peers.open(url(node, "sqlx-test-off"), SIZE) do |off|
          Peers.open(url(node, "sqlx-test-on"), SIZE) do |on|
            yield({ "poolkeeper" => ->(question) { child.ask(question) },
                    "sqlx-test-off" => off && ->(question) { rust(off, "sqlx-test-off", question) },
                    "sqlx-test-on" => on && ->(question) { rust(on, "sqlx-test-on", question) } }.compact)
          end
        end
      end
    end

    def url(node, peer)
      node.url.sub(":#{node.port}/", ":#{@relays.fetch(peer).port}/")
    end

    def rust(peers, name, question)
      question == :fill ? peers.fill(name) : peers.statements(name, BATCHES)
    end

    def live(line, url)
      pool = Native.open(url, SIZE)
      loop do
        failed = Array.new(line.hear == :fill ? 1 : BATCHES) do
          Native.each(pool, SIZE) { |db| db.query("SELECT 1") }.grep(StandardError)
        end
        line.tell(failed.sum(&:size))
      end
    end

    # Round trips for a statement, on connections that know it.
    def trips(name, peer)
      before = @relays[name].trips
      failed = peer.call(:statements)
      raise "#{failed} statements failed of #{PEERS[name]}" unless failed.zero?

      # What goes on behind the answer is counted too.
      peer.call(:fill)
      (@relays[name].trips - before).fdiv(STATEMENTS + SIZE)
    end

    # @return [Hash] how many statements of each peer failed
    def restart(node, peers, round)
      peers.each_value { |peer| peer.call(:fill) }
      node.restart
      peers.to_a.rotate(round).to_h.transform_values { |peer| peer.call(:statements) }
    end

    def show(failed, trips)
      PEERS.each do |name, title|
        next puts "  #{title.ljust(24)} not built" unless failed.key?(name)

        puts format("  %<title>-24s failed of %<statements>d: %<failed>s; round trips for a statement: %<trips>.2f",
                    title:, statements: STATEMENTS, failed: failed[name].join(", "), trips: trips[name])
      end
    end

    def result(failed, trips)
      ours, *others = PEERS.map do |name, title|
        next "#{title}: not built" unless failed.key?(name)

        figures = format("%<failed>d failed, %<trips>.1f round trips for a statement",
                         failed: failed[name].max, trips: trips[name])
        name == "poolkeeper" ? figures : "#{title} #{figures}"
      end
      Result.new(what: "restart, #{SIZE} pooled native connections, #{STATEMENTS} statements (most of #{ROUNDS})",
                 poolkeeper: ours, beside: others.join("; "), target: "0 failed, no round trip added",
                 met: failed["poolkeeper"].max.zero? && trips["poolkeeper"] <= 1)
    end
  end
end
