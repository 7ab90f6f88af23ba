# frozen_string_literal: true

module Bench
  # What observing adds to a checkout and checkin. Callbacks are global, so each peer has a process of its own, and the
  # processes take turns: whatever else keeps the cores busy meets all of them.
  #
  # The target is a difference in microseconds, which grows with every neighbour on the cores; so it is judged by the
  # quietest tenth of many small rounds. The medians are printed beside.
  class Checkout
    ROUNDS = 200
    TURNS = 1_000
    # Nanoseconds.
    MORE = 2_500
    PEERS = { bare: "without it", empty: "two empty callbacks", observed: "poolkeeper" }.freeze

    # @param node [Support::Postgres::Node]
    # @return [Array<Result>]
    def call(node)
      rounds = PEERS.transform_values { [] }
      with_children(node.config(pool: 5)) do |children|
        ROUNDS.times { |round| take_turns(round, children, rounds) }
        children.each { |peer, child| show(PEERS[peer], rounds[peer], child.ask(:objects)) }
      end
      [result(**rounds.transform_values { |times| Clock.quiet(times) })]
    end

    private

    def with_children(config)
      children = PEERS.keys.to_h { |peer| [peer, Child.new(->(line) { live(line, peer, config) })] }
      yield children
    ensure
      children&.each_value(&:close)
    end

    def take_turns(round, children, rounds)
      children.to_a.rotate(round).each { |peer, child| rounds[peer] << child.ask(:time) }
    end

    def live(line, peer, config)
      ActiveRecord::Base.establish_connection(config)
      prepare(peer)
      pool = ActiveRecord::Base.connection_pool
      pool.with_connection { |connection| connection.execute("SELECT 1") }
      pair = -> { pool.checkin(pool.checkout) }
      TURNS.times { pair.call }
      loop { line.tell(line.hear == :time ? Clock.per_turn(TURNS, &pair) : objects(pair)) }
    end

    # Garbage is collected later, and somebody pays for it.
    def objects(pair)
      before = GC.stat(:total_allocated_objects)
      100.times { pair.call }
      (GC.stat(:total_allocated_objects) - before).fdiv(100).round
    end

    def show(name, times, objects)
      quiet, median = [Clock.quiet(times), Clock.median(times)].map { |time| micros(time) }
      puts "  #{name.ljust(20)} quiet #{quiet}, median #{median}, #{objects} objects"
    end

    def micros(nanos)
      format("%.1f us", nanos.fdiv(1_000))
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

    def result(bare:, empty:, observed:)
      Result.new(what: "checkout and checkin, ActiveRecord #{ActiveRecord.version}",
                 poolkeeper: "#{micros(observed)}: #{micros(observed - bare)} more",
                 beside: "without #{micros(bare)}; two empty callbacks #{micros(empty - bare)} more",
                 ratio: format("%.2f", observed / bare), target: "at most #{micros(MORE)} more",
                 met: observed - bare <= MORE)
    end

    # Two callbacks that do nothing.
    module Nothing
      def self.before(_adapter); end

      def self.after(_adapter); end
    end
  end
end
