# frozen_string_literal: true

module Bench
  # What leak reports add to a lease: nothing where they are off, a stack where they are on. A stack costs by its depth,
  # so it is taken where a script would, and under so many frames as a job of Karafka's under ActiveRecord has.
  #
  # Each mode has a process of its own, and they take turns.
  class Leaks
    ROUNDS = 60
    TURNS = 1_000
    DEEP = 50
    # What is printed beside which frames and threshold.
    MODES = { off: [0, nil], on: [0, 3_600], deep: [DEEP, 3_600] }.freeze
    NAMES = { off: "off", on: "on", deep: "on, under #{DEEP} frames" }.freeze
    WHAT = { observed: "checkout and checkin, observed", native: "native lease and release" }.freeze
    # Microseconds that a report may cost a lease at that depth.
    LIMIT = 25
    private_constant :MODES, :NAMES, :WHAT

    # @param node [Support::Postgres::Node]
    # @return [Array<Result>]
    def call(node)
      rounds = WHAT.transform_values { MODES.transform_values { [] } }
      with_children(node) do |children|
        ROUNDS.times do |round|
          children.to_a.rotate(round).each do |mode, child|
            WHAT.each_key { |what| rounds[what][mode] << child.ask(what) }
          end
        end
      end
      rounds.map { |what, times| figures(WHAT[what], times) }
    end

    private

    def with_children(node)
      children = MODES.transform_values do |depth, threshold|
        Child.new(->(line) { live(line, node, depth, threshold) })
      end
      yield children
    ensure
      children&.each_value(&:close)
    end

    def live(line, node, depth, threshold)
      ActiveRecord::Base.establish_connection(node.config(pool: 5))
      pairs = { native: native(node, threshold), observed: observed }
      pairs.each_value { |pair| TURNS.times(&pair) }
      under(depth) { loop { line.tell(Clock.per_turn(TURNS, &pairs.fetch(line.hear))) } }
    end

    def native(node, threshold)
      pool = Native.open(node.url, 2)
      Poolkeeper.configure { |config| config.leak_threshold = threshold } if threshold
      pool = Native.open(node.url, 2) if threshold
      pool.with(&:ping)
      ->(_ = nil) { pool.lease && pool.release }
    end

    def observed
      Poolkeeper.observe or raise "ActiveRecord is not observed"
      pool = ActiveRecord::Base.connection_pool
      pool.with_connection { |connection| connection.execute("SELECT 1") }
      ->(_ = nil) { pool.checkin(pool.checkout) }
    end

    def under(depth, &body)
      depth.zero? ? body.call : under(depth - 1, &body)
    end

    def figures(what, rounds)
      times = rounds.transform_values { |values| Clock.median(values) / 1_000 }
      rounds.each do |mode, values|
        puts "  #{what}, #{NAMES[mode]}".ljust(56) + micros(times[mode]) + " (#{Clock.spread(values)} ns)"
      end
      Result.new(what: "leak reports: #{what}", poolkeeper: "off #{micros(times[:off])}",
                 beside: "on #{micros(times[:on])}; under #{DEEP} frames #{micros(times[:deep])}",
                 ratio: format("%.2f", times[:deep] / times[:off]),
                 target: "at most #{LIMIT} us more under #{DEEP} frames", met: times[:deep] - times[:off] <= LIMIT)
    end

    def micros(time)
      format("%.2f us", time)
    end
  end
end
