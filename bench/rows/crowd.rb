# frozen_string_literal: true

module Bench
  # More threads than connections: how much gets through, whether in the order of asking, and the longest wait. Each
  # keeps its connection for a moment, which is the same for all pools and leaves the cores to others.
  class Crowd
    SIZE = 5
    # Threads, and how many leases they take in all.
    CROWDS = { 1 => 300, 5 => 1_500, 20 => 1_500, 100 => 1_500, 1_000 => 3_000 }.freeze
    # Seconds.
    HELD = 0.001
    ROUNDS = 3
    # Longer than any wait here.
    PATIENCE = 120
    OURS = "poolkeeper"
    PEERS = [OURS, "connection_pool", "Sequel", "ActiveRecord"].freeze
    Figures = Struct.new(:throughput, :overtaken, :wait)
    private_constant :OURS, :Figures

    # @param node [Support::Postgres::Node]
    # @return [Array<Result>]
    def call(node)
      children = PEERS.to_h { |peer| [peer, Child.new(->(line) { live(line, peer, node) })] }
      there, missing = children.partition { |_, child| child.hear == :ready }
      CROWDS.map do |threads, leases|
        rounds = there.to_h { |peer, _| [peer, []] }
        # In changing order: whatever else keeps the cores busy meets all of them.
        ROUNDS.times do |round|
          there.rotate(round).each { |peer, child| rounds[peer] << child.ask([threads, leases]) }
        end
        result(threads, rounds.transform_values { |figures| medians(figures) }, missing.map(&:first))
      end
    ensure
      children&.each_value(&:close)
    end

    private

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
      waits = times.map { |asked, lent| (lent - asked) * 1_000 }
      Figures.new(leases / whole, overtaken(times), waits.max)
    end

    # @return [Array] when each lease was asked for and when it was there, and how long all took
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
    end

    # By how many that had asked later the unluckiest was overtaken.
    def overtaken(times)
      later = []
      times.sort_by(&:first).reverse.map do |_, lent|
        place = later.bsearch_index { |other| other >= lent } || later.size
        later.insert(place, lent)
        place
      end.max
    end

    def medians(rounds)
      Figures.new(*rounds.transpose.map { |figures| Clock.median(figures) })
    end

    def result(threads, figures, missing)
      figures.each { |peer, of| puts "  #{threads} threads, #{peer.ljust(16)} #{words(of)}" }
      ours = figures.fetch(OURS)
      others = figures.except(OURS)
      best = others.values.map(&:throughput).max
      beside = others.map { |peer, of| "#{peer} #{words(of)}" } + missing.map { |peer| "#{peer}: not installed" }
      Result.new(what: "#{threads} #{threads == 1 ? "thread" : "threads"} on #{SIZE} connections, each held for 1 ms",
                 poolkeeper: words(ours), beside: beside.join("; "), ratio: format("%.2f", ours.throughput / best),
                 target: "none overtaken by more than there are threads", met: ours.overtaken <= threads)
    end

    def words(figures)
      format("%<throughput>d a second, overtaken by %<overtaken>d, longest wait %<wait>.1f ms", figures.to_h)
    end
  end
end
