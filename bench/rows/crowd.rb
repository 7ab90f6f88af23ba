# frozen_string_literal: true

module Bench
  # More threads than connections: how much gets through, whether in the order of asking, and the longest wait. Each
  # keeps its connection for a moment, which is the same for all pools and leaves the cores to others.
  class Crowd
    SIZE = 5
    # Threads, and how many leases they take in all.
    CROWDS = { 1 => 300, 5 => 1_500, 20 => 1_500, 100 => 1_500, 1_000 => 1_000 }.freeze
    # Seconds.
    HELD = 0.001
    ROUNDS = 3
    # It wakes all who wait whenever a connection comes back: a thousand of them take minutes.
    OVERWHELMED = { "connection_pool" => 1_000 }.freeze
    # Seconds. Whoever has waited for longer gives up, and counts as not served.
    PATIENCE = 10
    OURS = "poolkeeper"
    PEERS = [OURS, "connection_pool", "Sequel", "ActiveRecord"].freeze
    Figures = Struct.new(:throughput, :overtaken, :wait, :unserved)
    private_constant :OURS, :Figures

    # @param node [Support::Postgres::Node]
    # @return [Array<Result>]
    def call(node)
      children = PEERS.to_h { |peer| [peer, Child.new(->(line) { live(line, peer, node) })] }
      there, missing = children.partition { |_, child| child.hear == :ready }
      CROWDS.map do |threads, leases|
        able, overwhelmed = there.partition { |peer, _| threads < OVERWHELMED.fetch(peer, threads + 1) }
        without = missing.to_h { |peer, _| [peer, "not installed"] }
        without.update(overwhelmed.to_h { |peer, _| [peer, "takes minutes"] })
        result(threads, take_turns(able, threads, leases), without)
      end
    ensure
      children&.each_value(&:close)
    end

    private

    # In changing order: whatever else keeps the cores busy meets all of them.
    def take_turns(children, threads, leases)
      rounds = children.to_h { |peer, _| [peer, []] }
      ROUNDS.times do |round|
        children.rotate(round).each { |peer, child| rounds[peer] << child.ask([threads, leases]) }
      end
      rounds.transform_values { |figures| medians(figures) }
    end

    def live(line, peer, node)
      lend = pool(peer, node)
      line.tell(:ready)
      loop { line.tell(figures(*line.hear, lend).to_a) }
    rescue LoadError
      line.tell(:missing)
    end

    # @return [Method] lends a connection to its block
    def pool(peer, node)
      case peer
      when OURS then Native.open(node.url, SIZE, checkout_timeout: PATIENCE).method(:with)
      when "connection_pool"
        require "connection_pool"
        ConnectionPool.new(size: SIZE, timeout: PATIENCE) { PG.connect(node.url) }.method(:with)
      when "Sequel"
        require "sequel"
        url = node.url.sub("postgresql:", "postgres:")
        Sequel.connect(url, max_connections: SIZE, pool_timeout: PATIENCE).method(:synchronize)
      else
        ActiveRecord::Base.establish_connection(node.config(pool: SIZE, checkout_timeout: PATIENCE))
        ActiveRecord::Base.connection_pool.method(:with_connection)
      end
    end

    # @return [Figures]
    def figures(threads, leases, lend)
      # All connections are open, and all threads there, before the first asks.
      crowd(SIZE, SIZE, lend)
      times, whole = crowd(threads, leases, lend)
      served = times.select(&:last)
      waits = served.map { |asked, lent| (lent - asked) * 1_000 }
      Figures.new(served.size / whole, overtaken(served), waits.max, times.size - served.size)
    end

    # @return [Array] when each lease was asked for and when it was there, if ever; and how long all took
    def crowd(threads, leases, lend)
      gate = Queue.new
      crowd = Array.new(threads) do
        Thread.new do
          gate.pop
          Array.new(leases / threads) { one(lend) }
        end
      end
      Support.wait_until(timeout: 30, message: "#{threads} threads") { gate.num_waiting == threads }
      started = Clock.now
      gate.close
      [crowd.flat_map(&:value), Clock.now - started]
    end

    def one(lend)
      asked = Clock.now
      lend.call do
        lent = Clock.now
        sleep(HELD)
        [asked, lent]
      end
    rescue StandardError => e
      # Each pool has a class of its own for this.
      e.class.name.include?("Timeout") ? [asked, nil] : raise
    end

    # By how many that had asked later one in a hundred was overtaken. (Ruby's time slices may part a thread's asking
    # from its place in any queue, so the very unluckiest says nothing of the pool.)
    def overtaken(times)
      later = []
      times.sort_by(&:first).reverse.map do |_, lent|
        place = later.bsearch_index { |other| other >= lent } || later.size
        later.insert(place, lent)
        place
      end.sort[-1 - (times.size / 100)]
    end

    def medians(rounds)
      Figures.new(*rounds.transpose.map { |figures| Clock.median(figures) })
    end

    def result(threads, figures, without)
      figures.each { |peer, of| puts "  #{threads} threads, #{peer.ljust(16)} #{words(of)}" }
      ours = figures.fetch(OURS)
      others = figures.except(OURS)
      best = others.values.map(&:throughput).max
      beside = others.map { |peer, of| "#{peer} #{words(of)}" } + without.map { |peer, why| "#{peer}: #{why}" }
      Result.new(what: "#{threads} #{threads == 1 ? "thread" : "threads"} on #{SIZE} connections, each held for 1 ms",
                 poolkeeper: words(ours), beside: beside.join("; "), ratio: format("%.2f", ours.throughput / best),
                 target: "all served; one in a hundred overtaken by #{limit(threads)} at most",
                 met: ours.overtaken <= limit(threads) && ours.unserved.zero?)
    end

    # In order: whoever has been given a connection waits for a core yet, and others go on meanwhile.
    def limit(threads)
      [2 * SIZE, threads / 20].max
    end

    def words(figures)
      words = format("%<throughput>d a second, overtaken by %<overtaken>d, longest wait %<wait>.1f ms", figures.to_h)
      figures.unserved.zero? ? words : "#{words}, #{figures.unserved.round} not served within #{PATIENCE} s"
    end
  end
end
