# frozen_string_literal: true

module Bench
  # Idle connections after the server closed them: how long until the pool is rid of them, by itself.
  #
  # What is told here is seen from outside: by a relay that the connections go through, and by the server's log.
  class Idle
    CONNECTIONS = 20
    ROUNDS = 9
    QUERIES = 3_200
    # Milliseconds. A CPU-bound thread keeps the GVL for slices of 100 ms.
    LIMITS = { idle: 50, busy: 150 }.freeze
    KIND = "ActiveRecord"
    AT_CHECKOUT = "`active?`"
    WORDS = { idle: "GVL idle", busy: "beside a CPU-bound thread" }.freeze
    # What the server's log would say of a client that sent something, or came back.
    SENT = /statement: |connection received/
    private_constant :SENT

    # @param node [Support::Postgres::Node]
    # @return [Array<Result>]
    def call(node)
      @relay = Relay.new(node.port)
      pings = Child.run(->(line) { ping(line, node) }, &:hear)
      Child.run(->(line) { live(line, node) }) do |child|
        wake_ups = child.ask(:traffic)
        @relay.clear
        [*LIMITS.keys.map { |gvl| evictions(node, child, gvl, pings) }, traffic(wake_ups)]
      end
    ensure
      @relay&.close
    end

    private

    # The peer: a round trip for each connection, in the way of whoever checks it out.
    def ping(line, node)
      ActiveRecord::Base.establish_connection(node.config(pool: CONNECTIONS))
      adapters = fill(ActiveRecord::Base.connection_pool)
      line.tell(Array.new(51) do
        started = Clock.now
        adapters.each(&:active?)
        (Clock.now - started) * 1_000
      end)
    end

    def live(line, node)
      pool = connect(node)
      spinner = nil
      loop do
        case line.hear
        when :traffic then line.tell(wake_ups(pool))
        when :busy then line.tell((spinner = Thread.new { loop { nil } }).alive?)
        when :calm then line.tell(spinner&.kill.nil?)
        when :fill then line.tell(fill(pool).size)
        when :count then line.tell(count(pool))
        end
      end
    end

    def connect(node)
      require "poolkeeper"
      ActiveRecord::Base.establish_connection(node.config(pool: CONNECTIONS, port: @relay.port))
      # Its lines are written, as they would be, for that takes the poolkeeper thread the GVL; but not into the table.
      Poolkeeper.configure { |options| options.logger = Logger.new(File.open(File::NULL, "w")) }
      ActiveRecord::Base.connection_pool
    end

    def count(pool)
      pool.connections.size
    end

    # Takes all connections at once, uses each, and gives all back.
    def fill(pool, &use)
      use ||= ->(adapter) { adapter.execute("SELECT 1") }
      adapters = Array.new(CONNECTIONS) { pool.checkout }
      adapters.each(&use)
    ensure
      adapters&.each { |adapter| pool.checkin(adapter) }
    end

    def wake_ups(pool)
      fill(pool)
      before = switches
      (QUERIES / CONNECTIONS).times { fill(pool) }
      switches - before
    end

    # How often the thread that waits for hang-ups has run.
    def switches
      # A thread gives itself its name, when it has got its first turn.
      tasks = Support.wait_until(message: "the thread that waits for hang-ups") { named("poolkeeper-io") }
      tasks.sum do |task|
        File.read("/proc/self/task/#{task}/status").scan(/voluntary_ctxt_switches:\s+(\d+)/).flatten.sum(&:to_i)
      end
    end

    def named(name)
      tasks = Dir.children("/proc/self/task").select do |task|
        File.read("/proc/self/task/#{task}/comm").chomp == name
      end
      tasks if tasks.any?
    end

    def evictions(node, child, gvl, pings)
      rounds = Array.new(ROUNDS) do |round|
        child.ask(:fill)
        child.ask(:busy) if gvl == :busy
        # In turns: single backends, and all of a server that restarts.
        figures = one_round(node, round.even? ? :terminate : :restart)
        child.ask(:calm)
        left = child.ask(:count)
        left.zero? ? figures : raise("#{left} connections are still in their pool")
      end
      result(gvl, rounds, pings)
    end

    def one_round(node, way)
      passages = @relay.passages
      log = node.log_since do
        way == :terminate ? node.terminate(:all) : node.restart
        Support.wait_until(timeout: 30, message: "#{CONNECTIONS} connections evicted") { passages.all?(&:gone_at) }
      end
      @relay.clear
      { delay: passages.map { |passage| passage.gone_at - passage.closed_at }.max * 1_000,
        bytes: passages.sum(&:late_bytes), statements: log.scan(SENT).size }
    end

    def result(gvl, rounds, pings)
      delays, bytes, statements = %i[delay bytes statements].map { |key| rounds.map { |round| round[key] } }
      median, most, ping = [Clock.median(delays), delays.max, Clock.median(pings)].map { |time| time.round(1) }
      all = delays.map { |time| time.round(1) }.join(", ")
      puts "  #{CONNECTIONS} idle, #{WORDS[gvl]}: all evicted after #{all} ms",
           "  sent after the close: #{bytes.sum} bytes, #{statements.sum} statements and connections"
      Result.new(what: "#{CONNECTIONS} idle connections (#{self.class::KIND}) closed by the server, #{WORDS[gvl]}",
                 poolkeeper: "all evicted after #{median} ms (at most #{most}), #{bytes.sum} bytes sent",
                 beside: "#{self.class::AT_CHECKOUT} on each at checkout: #{CONNECTIONS} round trips, #{ping} ms",
                 target: "#{LIMITS[gvl]} ms, nothing sent",
                 met: median <= LIMITS[gvl] && bytes.sum.zero? && statements.sum.zero?)
    end

    def traffic(wake_ups)
      puts "  wake-ups of the watching thread in #{QUERIES} queries: #{wake_ups}"
      Result.new(what: "wake-ups in #{QUERIES} queries", poolkeeper: wake_ups.to_s, beside: "", target: "0",
                 met: wake_ups.zero?)
    end
  end
end
