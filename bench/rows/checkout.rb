# frozen_string_literal: true

module Bench
  # What observing adds to a checkout and checkin. Callbacks are global, so each peer has a process of its own, and the
  # processes take turns: whatever else keeps the cores busy meets all of them.
  class Checkout
    ROUNDS = 60
    # Long enough for the garbage of the callbacks to be collected within a round.
    TURNS = 5_000
    # Nanoseconds.
    MORE = 2_500
    PEERS = { bare: "without it", empty: "two empty callbacks", observed: "poolkeeper" }.freeze

    # @param node [Support::Postgres::Node]
    # @return [Array<Result>]
    def call(node)
      rounds = PEERS.keys.to_h { |peer| [peer, []] }
      with_children(node.config(pool: 5)) { |children| ROUNDS.times { |round| take_turns(round, children, rounds) } }
      rounds.each do |peer, times|
        puts format("  %<name>-20s median %<median>.2f us (%<spread>s)",
                    name: PEERS[peer], median: Clock.median(times) / 1_000,
                    spread: Clock.spread(times.map { |time| time / 1_000 }, 2))
      end
      [result(**rounds.transform_values { |times| Clock.median(times) }, more: more(rounds[:observed], rounds[:bare]))]
    end

    private

    def with_children(config)
      children = PEERS.keys.to_h { |peer| [peer, Child.new(->(line) { live(line, peer, config) })] }
      yield children
    ensure
      children&.each_value(&:close)
    end

    def take_turns(round, children, rounds)
      children.to_a.rotate(round).each { |peer, child| rounds[peer] << child.ask(TURNS) }
    end

    def live(line, peer, config)
      ActiveRecord::Base.establish_connection(config)
      prepare(peer)
      pool = ActiveRecord::Base.connection_pool
      pool.with_connection { |connection| connection.execute("SELECT 1") }
      pairs(pool, TURNS)
      loop { line.tell(pairs(pool, line.hear)) }
    end

    def pairs(pool, turns)
      Clock.per_turn(turns) { pool.checkin(pool.checkout) }
    end

    # The empty callbacks are set as poolkeeper's are.
    def prepare(peer)
      case peer
      when :empty
        adapter = ActiveRecord::ConnectionAdapters::AbstractAdapter
        adapter.set_callback(:checkout, :before, Nothing, prepend: true)
        adapter.set_callback(:checkin, :after, Nothing)
      when :observed
        require "poolkeeper"
        Poolkeeper.observe or raise "ActiveRecord is not observed"
      end
    end

    # Round by round, so that a change of load between rounds cancels out.
    def more(observed, bare)
      Clock.median(observed.zip(bare).map { |with, without| with - without })
    end

    def result(bare:, empty:, observed:, more:)
      micros = ->(nanos) { format("%.1f us", nanos.fdiv(1_000)) }
      Result.new(what: "checkout and checkin, ActiveRecord #{ActiveRecord.version}",
                 poolkeeper: "#{micros[observed]} (#{micros[more]} more)",
                 beside: "without #{micros[bare]}, two empty callbacks #{micros[empty]}",
                 ratio: format("%.2f", observed / bare), target: "at most #{micros[MORE]} more", met: more <= MORE)
    end

    # Two callbacks that do nothing.
    module Nothing
      def self.before(_adapter); end

      def self.after(_adapter); end
    end
  end
end
