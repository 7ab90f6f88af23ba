# frozen_string_literal: true

require "spec_helper"

# Each in a process of its own, so that a crash is a failure with all that Ruby says of it.
RSpec.describe "The garbage collector", :scripts do
  # Every entry of the core with what it may be given, and what it may not.
  entries = <<~RUBY
    link = [%w[PG::ConnectionBad PG::Error StandardError], "57P01", 2006, "gone".dup, true, "FATAL".dup]
    broken = ["\\xFF\\x00".b, "\\xC3".dup.force_encoding("UTF-8"), "x" * 10_000]
    job = ["orders".dup, 3]
    entries = {
      "Core._forked" => [[]],
      "Core._look" => [[]],
      "Core._want_watch" => [[false], [true]],
      "Core._leak_threshold" => [[60.0], [-1.0], [Float::NAN], [1e300], ["1"], [nil]],
      "Core._sizes" => [[]],
      "Fault._classify" => [[[link] * 3], [[]], [nil], [[[broken, broken[0], nil, broken[1], nil, 1]]], [[nil, 1, :x]]],
      "Fault._interest" => [[link[0]], [[nil, 1]], [broken]],
      "Incidents._fault" => [[:dead, 1, 7], [:demoted, nil, 7], [:unreachable, 1, 8], [:nonsense, 1, 7], ["dead", 1, 7]],
      "Incidents._healthy?" => [[]],
      "Incidents._troubled" => [["writing".dup, true], [nil, false], [broken[1], nil]],
      "Incidents._writes" => [[1, 7, true], [1, 7, false], [9, 9, nil]],
      "Mirror._pool" => [[1, "primary".dup, "writing", "default", "localhost", false], [2, nil, "", "", "", true]],
      "Mirror._enlist" => [[1], [2], [-1]],
      "Mirror._checkout" => [[1, 7, 7], [2, 7, 8], [99, 1, 1], [nil, 7, 7]],
      "Mirror._checkin" => [[1, SOCKET], [2, -1], [99, 0], [1, 1 << 40]],
      "Mirror._settle" => [[1, SOCKET], [1, -1], [99, 1]],
      "Mirror._condemned" => [[1], [99]],
      "Mirror._held" => [[7], [8]],
      "Mirror._observe" => [[]],
      "Mirror._leases" => [[7], [9]],
      "Mirror._lease" => [[1], [99]],
      "Mirror._released" => [[7]],
      "Mirror._job" => [[7, *job], [7, nil, nil], [7, broken[1], 1]],
      "Mirror._begin" => [[7]],
      "Mirror._seed" => [[2, 8]],
      "Mirror._found_with" => [[2, 8], [99, 8]],
      "Mirror._missed" => [[1, 7], [99, 8]],
      "Mirror._lease_ended" => [[2]],
      "Mirror._newest" => [[]],
      "Mirror._retain" => [[0, [1, 2]], [9, [1]], [9, [nil]]],
      "Mirror._forget" => [[2]],
      "Mirror._forget_pool" => [[2]],
      "Mirror._dropped" => [[1]],
      "Mirror._keep" => [[1]],
      "Mirror._report" => [[1]],
      "Mirror._count" => [[1, "released".dup, false], [1, "nonsense", true]],
      "Mirror._stats" => [[]],
      "Monitors._want" => [[5.0, 1.0, 1.0, 3], [nil, 0.0, -1.0, 1], [Float::NAN, 1e300, 0, 0], [nil, nil, nil, nil]],
      "Monitors._deadline" => [[10.0], [nil], [Float::INFINITY], ["x"]],
      "Monitors._report" => [[true], [false]],
      "Monitors._credentials" => [[1, "postgres://a:\#{"x" * 99}@b/c".dup], [99, "nonsense"], [1, broken[1]], [1, nil]],
      "Monitors._refresh" => [[1, SOCKET], [1, -1], [99, 0], [1, 1 << 40]],
      "Notices._notify" => [["connection.leaked".dup, 1, 7, 0.5, "a reason".dup, true, ["a.rb:1".dup, "b"]],
                            ["x", nil, nil, nil, broken[1], nil, nil], ["x", nil, nil, nil, nil, true, [broken[1], 1]]],
      "Notices._next" => [[0.0], [0.001], [-1.0], [Float::NAN]],
      "Sockets._hung_up" => [[SOCKET], [-1]],
      "Sockets._identity" => [[SOCKET], [-1], [nil]],
      "Sockets._part" => [[-1, 1], [SOCKET, 1]],
      "Sockets._shut_down" => [[-1], [SOCKET]],
      "Pool._open" => [[3, "sqlite::memory:".dup, Support::Native::OPTIONS], [3, "nonsense".dup, {}], [nil, nil, nil]],
      "Pool._release_all" => [[6], [nil]],
      "Pool._fibers_own" => [[false]],
      "Pool._present" => [[]],
      "Pool#_checkout" => [[7, false], [nil, nil]],
      "Pool#_query" => [[0, 7, "SELECT ?1 AS one".dup, [broken[0], 1.5, nil, :x, Time.now, 2**70].first(1), false],
                        [0, 7, "SELECT 1".dup, [], true],
                        [0, 7, "SELECT 1 AS \#{"zq" * 9}\#{rand(1 << 60)}, 'x' AS \#{"qz" * 9}\#{rand(1 << 60)}", [], false], [9, 7, "x", [], false], [0, 7, broken[1], [Object.new], nil]],
      "Pool#_begin" => [[0, 7], [9, 9]],
      "Pool#_level" => [[0, 7], [9, 9]],
      "Pool#_commit" => [[0, 7, 0], [0, 7, 9]],
      "Pool#_roll_back" => [[0, 7, 0, true], [0, 7, 0, false]],
      "Pool#_ping" => [[0, 7], [0, 9]],
      "Pool#_lease" => [[]],
      "Pool#_connections" => [[Array.new(8) { Object.new }], [nil]],
      "Pool#release" => [[]],
      "Pool#_queue" => [[8, 1.0, true], [7, 0.0, false], [1, Float::NAN, nil]],
      "Pool#_release" => [[8, true], [99, nil]],
      "Pool#_reclaim" => [[[9]], [[nil]]],
      "Pool#_sweep" => [[]],
      "Pool#_reload" => [[]],
      "Pool#_resize" => [[4], [-1]],
      "Pool#_close_idle" => [[]],
      "Pool#_numbers" => [[]],
      "Pool#_leases" => [[]],
      "Pool#_owners" => [[]],
      "Pool#_released" => [[]],
      "Pool#_drained" => [[]],
      "Pool#_parted" => [[]],
      "Pool#_close" => [[]]
    }
  RUBY

  it "may run at every allocation of every entry of the core, whatever it is given" do
    said = answers(<<~RUBY, timeout: 55)
      require "socket"
      require "poolkeeper"
      require #{File.join(Support::Scripts::ROOT, "spec/support/native").dump}
      Poolkeeper.config.logger = nil
      ours, = Socket.pair(:UNIX, :STREAM)
      SOCKET = ours.fileno
      #{entries}
      modules = Poolkeeper.constants.map { |name| Poolkeeper.const_get(name) }.grep(Module)
      there = Support::Native.reflected(Poolkeeper)
      calls = entries.flat_map { |entry, arguments| arguments.map { |given| [entry, given] } }
      outcomes = []
      run = lambda do
        calls.each do |entry, given|
          Support::Native.call(entry, given)
        rescue Poolkeeper::Error, ArgumentError, TypeError, RangeError, EncodingError, KeyError, NoMethodError => e
          outcomes << e.class
        end
      end
      # What the first leaves behind makes the second another.
      3.times { outcomes.clear && run.call }
      plain = outcomes.tally
      outcomes.clear
      GC.stress = true
      run.call
      GC.stress = false
      say(missing: there - entries.keys, unknown: entries.keys - there, same: plain == outcomes.tally,
          healthy: Poolkeeper.healthy?, sizes: Poolkeeper::Core._sizes.size)
    RUBY
    expect(said).to include(missing: [], unknown: [], same: true, sizes: 4)
  end

  it "finds no Ruby object that holds memory of the core: its size is in no object's" do
    said = answers(<<~RUBY)
      require "objspace"
      require "poolkeeper"
      Poolkeeper::Mirror._pool(1, "primary", "writing", "default", "localhost", false)
      100.times { Poolkeeper::Mirror._checkout(Poolkeeper::Mirror._enlist(1), 7, 7) }
      Poolkeeper::Notices._notify("connection.leaked", 1, 7, 0.5, "reason", true, ["a"])
      held = [Poolkeeper::Mirror._stats, Poolkeeper::Notices._next(0.0), Poolkeeper::Mirror._held(7)]
      types = ObjectSpace.count_tdata_objects.keys.map { |type| type.is_a?(Class) ? type.name.to_s : type.to_s }
      say(ours: types.grep(/poolkeeper|magnus|rust/i), plain: held.map { |value| value.class.name })
    RUBY
    expect(said).to eq(ours: [], plain: %w[Array Hash FalseClass])
  end

  describe "and real connections", :database do
    def run(script, **options)
      answers(script, Support::Scripts::CONNECT, Support::Scripts::TERMINATE, Support::Scripts::POOLKEEPER,
              database: primary.config(pool: Support::Database::SIZE), timeout: 50, **options)
    end

    it "may run at every allocation of every public call" do
      said = run(<<~RUBY)
        # Young objects only: with all of ActiveRecord's, an allocation would take a hundredth of a second.
        def stressed
          GC.stress = 1
          yield
        ensure
          GC.stress = false
        end
        listener = Poolkeeper::KarafkaListener.new
        seen = Queue.new
        stressed { Poolkeeper.events.subscribe("connection.leaked") { |event| seen << event[:pool] } }
        hold.select_value("SELECT 1")
        terminate
        dead = error_of { hold.execute("UPDATE items SET n = 1") }
        said = {
          verify: stressed { Poolkeeper.verify(dead).to_h.slice(:fault, :dropped) },
          verify_nothing: stressed { Poolkeeper.verify.dropped },
          observe: stressed { Poolkeeper.observe },
          configure: stressed { Poolkeeper.configure { |config| config.mode = :act }.mode },
          job: stressed { listener.on_worker_process(nil) },
          wrap: (hold and stressed { Poolkeeper.wrap { :value } }),
          release: (hold && pool.checkout and stressed { Poolkeeper.release }),
          leak: (hold.begin_transaction(_lazy: false) and stressed { Poolkeeper.release }),
          handlers: (hold and stressed { listener.on_worker_completed(nil) }.nil? && pool.stat[:busy]),
          told: seen.pop,
          prove: (hold.select_value("SELECT 1") && Poolkeeper.release and
                  stressed { Poolkeeper.verify!(timeout: 30).dropped }),
          close: stressed { listener.on_swarm_manager_before_fork(nil) }.nil? && pool.connections.size,
          stats: stressed { Poolkeeper.stats.values.sum { |stats| stats[:mirror_misses] } },
          healthy: stressed { Poolkeeper.healthy? }
        }
        say(**said)
      RUBY
      expect(said).to eq(verify: { fault: "dead", dropped: 1 }, verify_nothing: 0, observe: true, configure: "act",
                         job: nil, wrap: "value", release: 2, leak: 1, handlers: 0, told: "primary writing default",
                         prove: 0, close: 0, stats: 0, healthy: true)
    end

    # What moves objects about, as far as this Ruby can.
    let(:compact) { <<~RUBY }
      def compact
        return GC.start unless GC.respond_to?(:compact)

        3.times { GC.compact }
        return unless GC.respond_to?(:verify_compaction_references)

        # Each object to another place, for which it doubles the heap; the option's old name warns where it has a new one.
        room = (%i[expand_heap double_heap] & GC.method(:verify_compaction_references).parameters.map(&:last)).first(1)
        GC.verify_compaction_references(toward: :empty, **room.to_h { |option| [option, true] })
      rescue NotImplementedError
        GC.start
      end
    RUBY

    it "may move everything while leases are out, and each is still known by its number" do
      said = run(<<~RUBY)
        #{compact}
        adapters = Poolkeeper::Observed::Adapters
        numbers = -> { pool.connections.map { |adapter| adapters.number(adapter) } }
        mine = [hold, *Array.new(2) { pool.checkout }]
        pids = mine.map { |adapter| backend_of(adapter) }
        held = Queue.new
        go_on = Queue.new
        others = Thread.new { (held << hold.select_value("SELECT 1")) && go_on.pop && Poolkeeper.release }
        held.pop
        pool.checkin(pool.checkout.tap { |adapter| adapter.select_value("SELECT 1") })
        before = numbers.call
        compact
        known = numbers.call.map { |number| adapters[number] }.zip(pool.connections).all? { |one, other| one.equal?(other) }
        same = numbers.call == before && mine.map { |adapter| backend_of(adapter) } == pids
        released = Poolkeeper.release
        compact
        go_on << true
        found = others.value
        idle = pool.connections.count { |adapter| !adapter.in_use? }
        terminate
        wait_until(message: "evicted") { pool.connections.empty? }
        compact
        taken = hold.select_value("SELECT 1")
        say(known: known, same: same, released: released, found: found, idle: idle, taken: taken,
            last: Poolkeeper.release, misses: Poolkeeper.stats.values.sum { |stats| stats[:mirror_misses] })
      RUBY
      expect(said).to eq(known: true, same: true, released: 3, found: 1, idle: 5, taken: 1, last: 1, misses: 0)
    end

    it "may move everything at any time while threads take and release" do
      said = run(<<~RUBY)
        #{compact}
        GC.auto_compact = true if GC.respond_to?(:auto_compact=)
        threads = Array.new(3) do
          Thread.new { Array.new(20) { hold.select_value("SELECT 1") + Poolkeeper.release }.sum }
        end
        20.times { GC.respond_to?(:compact) ? GC.compact : GC.start }
        compact
        say(sums: threads.map(&:value), busy: pool.stat[:busy],
            misses: Poolkeeper.stats.values.sum { |stats| stats[:mirror_misses] })
      RUBY
      expect(said).to eq(sums: [40] * 3, busy: 0, misses: 0)
    end

    it "takes adapters that have left their pool, and the mirror keeps nothing of them" do
      said = run(<<~RUBY)
        rss = -> { File.read("/proc/self/status")[/VmRSS:\\s+(\\d+)/, 1].to_i }
        throw_away = lambda do |count|
          count.times do
            adapter = pool.checkout
            adapter.select_value("SELECT 1")
            pool.remove(adapter)
            adapter.disconnect!
          end
          3.times { GC.start }
          # As the poolkeeper thread does every ten seconds.
          Poolkeeper::Observed::Walk.tidy
          [Poolkeeper::Core._sizes.first, Poolkeeper::Observed::Adapters.sockets.size, rss.call]
        end
        held = hold
        held.select_value("SELECT 1")
        first = throw_away.call(40)
        last = throw_away.call(60)
        say(known: [first[0], last[0]], sockets: [first[1], last[1]], grown: last[2] - first[2],
            released: Poolkeeper.release)
      RUBY
      expect(said).to include(known: [1, 1], sockets: [1, 1], released: 1)
      expect(said[:grown]).to be < 5 * 1024
    end
  end
end
