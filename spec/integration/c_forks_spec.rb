# frozen_string_literal: true

require "spec_helper"

# No hook of Ruby's runs here, and ActiveRecord does not notice from 7.1 on: the child takes its parent's connections
# for its own.
RSpec.describe "A fork made in C", :database, :scripts do
  let(:c_fork) { <<~RUBY }
    require "fiddle"
    require #{File.expand_path("../proof/switches", __dir__).dump} if ENV["POOLKEEPER_OFF"]
    C_FORK = Fiddle::Function.new(Fiddle::Handle::DEFAULT["fork"], [], Fiddle::TYPE_INT, need_gvl: true)
    # What Ruby asks of whoever forks in C, so that it knows which threads are gone; many do not.
    TELL_RUBY = Fiddle::Function.new(Fiddle::Handle::DEFAULT["rb_thread_atfork"], [], Fiddle::TYPE_VOID, need_gvl: true)

    def value_or_error
      yield
    rescue Exception => e
      "\#{e.class}: \#{e.message} \#{e.backtrace.first(3)}"
    end

    # Runs a block in a child, and another beside it, when the child has said its value.
    def c_forked(child, told: false)
      said, says = IO.pipe
      door, opens = IO.pipe
      pid = C_FORK.call
      if pid.zero?
        opens.close
        TELL_RUBY.call if told
        says.puts(JSON.generate([value_or_error(&child)]))
        door.read
        exit!(0)
      end
      [says, door].each(&:close)
      line = said.gets or raise "the child said nothing"
      yield pid if block_given?
      JSON.parse(line).first
    ensure
      opens.close
      Process.wait(pid)
      said.close
    end
  RUBY

  # A parent with one connection in its hands and three idle ones.
  let(:parent) { <<~RUBY }
    #{c_fork}
    require #{File.expand_path("../support/proc", __dir__).dump}
    REFUSED = ActiveRecord::ConnectionNotEstablished.new("refused")
    PORT = eval(ENV.fetch("DATABASE")).transform_keys(&:to_s).fetch("port")
    def taken(count)
      adapters = Array.new(count) { pool.checkout }
      adapters.map { |adapter| backend_of(adapter) }.sort
    ensure
      adapters&.each { |adapter| pool.checkin(adapter) }
    end
    HELD = hold
    IDLE = taken(3)
    MINE = backend_of(HELD)
    # Whether the server still knows all of it by the same numbers.
    def untouched?
      backend_of(HELD) == MINE && taken(3) == IDLE
    rescue ActiveRecord::ActiveRecordError
      false
    end
    def shared_with(child) = Support::Proc.inodes_to(PORT) & Support::Proc.inodes_to(PORT, child)
  RUBY

  def run(script, **options)
    answers(script, Support::Scripts::CONNECT, Support::Scripts::POOLKEEPER, parent, *@before,
            database: primary.config(pool: Support::Database::SIZE), **options)
  end

  # What a child may come to poolkeeper by first. Whatever it is, the child ends with nothing of its parent's.
  ways = {
    "Poolkeeper.release" => "Poolkeeper.release",
    "Poolkeeper.verify" => "Poolkeeper.verify&.dropped",
    "Poolkeeper.verify with an error" => "Poolkeeper.verify(REFUSED)&.dropped",
    "Poolkeeper.wrap" => "Poolkeeper.wrap { 0 }",
    "Poolkeeper.stats" => "Poolkeeper.stats.values.sum { |stats| stats[:leased] }",
    "Poolkeeper.healthy?" => "Poolkeeper.healthy? ? 0 : 1",
    "Poolkeeper.observe" => "Poolkeeper.observe ? 0 : 1",
    "worker.process" => "Poolkeeper::KarafkaListener.new.on_worker_process(nil).to_i",
    "swarm.manager.before_fork" => "Poolkeeper::KarafkaListener.new.on_swarm_manager_before_fork(nil).to_i",
    "swarm.node.after_fork" => "Poolkeeper::KarafkaListener.new.on_swarm_node_after_fork(nil).to_i",
    "a checkout" => "pool.checkin(pool.checkout) && 0",
    "disconnect! of a connection" => "HELD.disconnect! && 0 || 0",
    "disconnect! of a pool" => "pool.disconnect! && 0 || 0",
    "establish_connection" => "ActiveRecord::Base.establish_connection(eval(ENV.fetch('DATABASE'))) && 0"
  }

  # To prove a connection in time takes a thread, which must not be started where Ruby does not know which are gone.
  proving = { true => "Poolkeeper.verify!.dropped",
              false => "begin; Poolkeeper.verify!; rescue Poolkeeper::ConnectionError => e; " \
                       "e.message.include?('rb_thread_atfork') ? 0 : e.message; end" }

  [false, true].each do |told|
    entries = ways.merge("Poolkeeper.verify!" => proving.fetch(told))
    context told ? "that Ruby was told of" : "that nobody was told of" do
      it "leaves the parent its connections, whatever the child comes to first, and has no part in them" do
        said = run(<<~RUBY, timeout: 55)
          ways = { #{entries.map { |name, code| "#{name.dump} => -> { #{code} }" }.join(", ")} }
          said = ways.to_h do |name, way|
            shared = nil
            value = c_forked(way, told: #{told}) { |child| shared = shared_with(child) }
            [name, [value, shared, untouched?]]
          end
          say(**said)
        RUBY
        expect(said).to eq(entries.to_h { |name, _| [name.to_sym, [0, [], true]] }), -> { "#{said}\n#{script_errors}" }
        expect(script_errors).not_to match(/rescued|evicted|discarded|dropped|incident/)
      end

      it "leaves the child able to work, on server processes of its own" do
        said = run(<<~RUBY)
          work = lambda do
            done = Poolkeeper.wrap { [Item.create!(n: 1).n, backend_of(hold), *taken(2)] }
            # With threads that Ruby does not know to be gone, a collection would end the process.
            5.times { GC.start }
            [done, Support::Proc.threads.values.grep(/poolkeeper/).sort]
          end
          shared = nil
          (n, *pids), threads = c_forked(work, told: #{told}) { |child| shared = shared_with(child) }
          say(shared: shared, parent: untouched?, n: n, own: (pids - [MINE, *IDLE]).uniq.size, threads: threads)
        RUBY
        threads = told ? %w[poolkeeper poolkeeper-io] : []
        expect(said).to eq(shared: [], parent: true, n: 1, own: 3, threads: threads)
        expect(rows).to eq(1)
      end

      it "leaves the child able to replace what the server closes" do
        @before = [Support::Scripts::TERMINATE]
        said = run(<<~RUBY)
          work = lambda do
            taken(2)
            terminate
            Array.new(2) { pool.checkout }.sum { |adapter| adapter.update("UPDATE items SET n = 2") }
          end
          Item.create!(n: 1)
          say(updated: c_forked(work, told: #{told}))
        RUBY
        expect(said).to eq(updated: 2)
      end
    end
  end

  it "leaves the parent its connections when the child ends, and its drivers are collected" do
    said = run(<<~RUBY)
      ends = { itself: -> { nil }, exit: -> { exit }, error: -> { $stderr.reopen(IO::NULL) && raise("the child's") } }
      said = ends.to_h do |name, ending|
        pid = C_FORK.call
        if pid.zero?
          TELL_RUBY.call
          ending.call
          exit
        end
        Process.wait(pid)
        [name, untouched?]
      end
      say(**said)
    RUBY
    expect(said).to eq(itself: true, exit: true, error: true)
  end

  it "leaves the parent its hang-ups, however often the child looks for its own" do
    @before = [Support::Scripts::TERMINATE]
    said = run(<<~RUBY)
      parent = Process.pid
      # The parent stands still while its connections end: what the child takes now, the parent never gets.
      look = lambda do
        Process.kill(:STOP, parent)
        terminate
        Array.new(10) { Poolkeeper.wrap { hold.select_value("SELECT 1") } }.sum
      ensure
        Process.kill(:CONT, parent)
      end
      HELD.pool.release_connection
      worked = c_forked(look, told: true)
      wait_until(message: "evicted in the parent") { pool.connections.empty? }
      say(worked: worked, evicted: Poolkeeper.stats.values.sum { |stats| stats[:evicted] })
    RUBY
    expect(said).to eq(worked: 10, evicted: 4)
  end

  it "leaves the parent its transaction, which commits whole" do
    said = run(<<~RUBY)
      Item.transaction do
        Item.create!(n: 1)
        c_forked(-> { Poolkeeper.release && taken(1).size }, told: true)
        Item.create!(n: 2)
      end
      say(rows: Item.count, parent: untouched?)
    RUBY
    expect(said).to eq(rows: 2, parent: true)
  end

  it "gives the child the places in its pool that other threads of the parent had taken" do
    said = run(<<~RUBY)
      ready = Queue.new
      Thread.new { (ready << hold) && sleep }
      ready.pop
      say(taken: c_forked(-> { Poolkeeper.observe && taken(#{Support::Database::SIZE}).size }),
          parent: backend_of(HELD) == MINE)
    RUBY
    expect(said).to eq(taken: Support::Database::SIZE, parent: true)
  end

  it "leaves the parent as it was after fifty of them, and its watch at work" do
    @before = [Support::Scripts::TERMINATE]
    said = run(<<~RUBY, timeout: 50)
      look = -> { [Support::Proc.fds.size, Support::Proc.threads.size] }
      work = -> { Poolkeeper.wrap { pool.checkin(pool.checkout) && 1 } }
      3.times { c_forked(work) }
      before = look.call
      worked = Array.new(50) { c_forked(work) }
      same = look.call == before && untouched?
      HELD.pool.release_connection
      terminate
      wait_until(message: "evicted") { pool.connections.empty? }
      say(worked: worked.uniq, same: same, evicted: Poolkeeper.stats.values.sum { |stats| stats[:evicted] })
    RUBY
    expect(said).to eq(worked: [1], same: true, evicted: 4)
  end
end
