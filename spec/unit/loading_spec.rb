# frozen_string_literal: true

require "spec_helper"

RSpec.describe "A process with poolkeeper", :scripts do
  # ActiveRecord without a database; `start` has the poolkeeper thread started by a handler.
  let(:with_active_record) { <<~RUBY }
    require "active_record"
    require "poolkeeper"
    Poolkeeper.config.logger = nil
    ActiveRecord::Base.name
    def poolkeeper_threads = Thread.list.select { |thread| thread.name == "poolkeeper" }
    def poolkeeper_thread = poolkeeper_threads.first
    def start
      Poolkeeper::KarafkaListener.new.on_worker_completed(nil)
      Poolkeeper.verify(ActiveRecord::ConnectionNotEstablished.new("no connection"))
      wait_until { poolkeeper_thread&.status == "sleep" }
    end
  RUBY

  it "that only requires it has loaded no ActiveRecord and no Karafka, and started nothing" do
    said = answers(<<~RUBY)
      look = lambda do
        [Thread.list.size, Dir.children("/proc/self/task").size, Dir.children("/proc/self/fd").size, Signal.list.keys.map do |name|
          next if %w[EXIT KILL STOP VTALRM SEGV BUS ILL FPE].include?(name)
          (old = trap(name, "DEFAULT")).tap { trap(name, old || "SYSTEM_DEFAULT") }
        end.compact.map(&:to_s)]
      end
      look.call
      before = look.call
      require "poolkeeper"
      say(same: look.call == before, active_record: !!defined?(ActiveRecord), karafka: !!defined?(Karafka),
          active_support: !!defined?(ActiveSupport), pg: !!defined?(PG))
    RUBY
    expect(said).to eq(same: true, active_record: false, karafka: false, active_support: false, pg: false)
    expect(script_errors).to eq("")
  end

  it "releases nothing, answers and warns of nothing where there is nothing to keep" do
    expect(ruby(<<~RUBY)).to eq("0\nnil\n{}\ntrue\nfalse\n")
      require "poolkeeper"
      p Poolkeeper.release, Poolkeeper.verify(RuntimeError.new("x")), Poolkeeper.stats, Poolkeeper.healthy?, Poolkeeper.observe
    RUBY
    expect(script_errors).to eq("")
  end

  it "starts no thread and opens nothing before there is something to observe" do
    said = answers(<<~RUBY)
      require "poolkeeper"
      before = [Dir.children("/proc/self/task").size, Dir.children("/proc/self/fd").size]
      Poolkeeper.release
      Poolkeeper.verify(IOError.new("closed stream"))
      Poolkeeper::KarafkaListener.new.on_worker_completed(nil)
      after = [Dir.children("/proc/self/task").size, Dir.children("/proc/self/fd").size]
      say(threads: Thread.list.size, same: before == after)
    RUBY
    expect(said).to eq(threads: 1, same: true)
  end

  it "ends promptly, whichever way, though its thread was started under a handler's interrupt mask" do
    said = answers(<<~RUBY, timeout: 50)
      #{with_active_record}
      ways = {
        itself: -> { nil },
        exit: -> { exit },
        "exit!": -> { exit!(0) },
        sigterm: -> { Process.kill(:TERM, $$) && sleep },
        error: -> { $stderr.reopen(IO::NULL) && raise("the application's") },
        thread: -> { Thread.new { exit }.join },
        in_an_event: lambda do
          blocked = Queue.new
          Poolkeeper.events.subscribe("error.rescued") { (blocked << true) && sleep }
          Poolkeeper::Log.rescued("testing", RuntimeError.new("x"))
          blocked.pop
        end,
        masked: -> { Thread.handle_interrupt(Object => :never) { poolkeeper_thread.kill && Poolkeeper.observe && start } }
      }
      seconds = ways.to_h do |name, way|
        reader, writer = IO.pipe
        pid = fork do
          reader.close
          start
          writer.write(Support.now)
          writer.close
          way.call
        end
        writer.close
        began = reader.read.to_f
        wait_until(timeout: 4, message: name) { Process.wait(pid, Process::WNOHANG) }
        [name, (Support.now - began) < 2]
      rescue Support::DeadlineError
        Process.kill(:KILL, pid)
        [name, "it went on"]
      end
      say(**seconds)
    RUBY
    expect(said.values.uniq).to eq([true]), said.inspect
  end

  it "has one thread by the name of poolkeeper, however many threads come at once" do
    said = answers(<<~RUBY)
      #{with_active_record}
      counts = Array.new(20) do
        go = Queue.new
        threads = Array.new(20) { Thread.new { go.pop && Poolkeeper.observe && Poolkeeper::Background.ensure_running } }
        20.times { go << true }
        threads.each(&:join)
        wait_until { poolkeeper_threads.all? { |thread| thread.status == "sleep" } }
        poolkeeper_threads.each(&:kill).size.tap { wait_until { poolkeeper_threads.empty? } }
      end
      say(counts: counts.uniq)
    RUBY
    expect(said).to eq(counts: [1])
  end

  it "goes on where its thread was killed: the next need starts another" do
    said = answers(<<~RUBY)
      #{with_active_record}
      start
      first = poolkeeper_thread.kill.join
      start
      say(threads: poolkeeper_threads.size, another: !poolkeeper_thread.equal?(first))
    RUBY
    expect(said).to eq(threads: 1, another: true)
  end
end
