# frozen_string_literal: true

require "spec_helper"

# Whatever poolkeeper is in the middle of, a process that is to end ends: at once, in its own way, and in silence.
RSpec.describe "A process that ends", :database, :scripts do
  # What is under way, each arranged so that it lasts until it is interrupted.
  middles = {
    "waiting for an event" => "nil",
    "in a subscriber" => <<~RUBY,
      started = Queue.new
      Poolkeeper.events.subscribe("release.kept") { (started << true) && sleep }
      Poolkeeper::Events.tell("release.kept")
      started.pop
    RUBY
    "in the application's logger" => <<~RUBY,
      started = Queue.new
      Poolkeeper.config.logger = Logger.new(nil)
      Poolkeeper.config.logger.define_singleton_method(:info) { |*| (started << true) && sleep }
      Poolkeeper::Events.tell("release.kept")
      started.pop
    RUBY
    "waiting for a pool's lock to evict" => <<~RUBY,
      use
      started = Queue.new
      Thread.new { pool.synchronize { (started << true) && sleep } }
      started.pop
      terminate
      wait_until(message: "it waits in take") { keeper.backtrace.any? { |line| line.match?(/eviction.*take'/) } }
    RUBY
    "pausing after failures" => <<~RUBY,
      wait_until { keeper.raise("somebody's") || keeper.backtrace.first.include?("sleep'") }
    RUBY
    "proving a pool that is exhausted" => <<~RUBY,
      5.times { pool.checkout }
      Thread.new { Poolkeeper.verify!(timeout: 60) }
      wait_until(message: "it waits in verify!") { pool.num_waiting_in_queue == 1 }
    RUBY
    "with workers in wrap, in the middle of a transaction" => <<~RUBY
      2.times { Thread.new { Poolkeeper.wrap { hold.select_value("SELECT 1") && Item.transaction { hold && sleep } } } }
      wait_until(message: "they hold leases") { pool.stat[:busy] == 2 }
    RUBY
  }
  ways = {
    "by its last line" => ["nil", [0, nil], ""], "by exit" => ["exit(3)", [3, nil], ""],
    "by exit!" => ["exit!(4)", [4, nil], ""],
    "by abort" => ['abort("the application\'s")', [1, nil], "the application's\n"],
    "by SIGTERM" => ["Process.kill(:TERM, Process.pid) && sleep", [nil, 15], ""],
    "by exit on another thread" => ["Thread.new { exit(5) }.join", [5, nil], ""]
  }

  before(:context) do
    extend Support::Scripts
    database = Support::Database.cluster.primary.config(pool: 5, checkout_timeout: 60)
    @ended = answers(<<~RUBY, Support::Scripts::CONNECT, Support::Scripts::TERMINATE, database: database, timeout: 200)
      require "poolkeeper"
      require "tempfile"
      Poolkeeper.config.logger = nil
      Poolkeeper.observe
      def keeper = Thread.list.find { |thread| thread.name == "poolkeeper" }
      def use = pool.with_connection { |adapter| adapter.select_value("SELECT 1") }
      def ending(middle, way)
        noise = Tempfile.new("noise")
        reader, writer = IO.pipe
        pid = fork do
          use && Poolkeeper.observe
          Poolkeeper::Background.ensure_running
          wait_until { keeper&.status == "sleep" }
          eval(middle)
          $stderr.reopen(noise.path)
          writer.puts(Support.now)
          eval(way)
        end
        writer.close
        began = reader.gets.to_f
        status = nil
        wait_until(timeout: 20) { status = Process.wait2(pid, Process::WNOHANG)&.last }
        { status: [status.exitstatus, status.termsig], seconds: Support.now - began, noise: File.read(noise.path) }
      rescue Support::DeadlineError
        Process.kill(:KILL, pid) && Process.wait(pid)
        { status: "it went on", noise: File.read(noise.path) }
      end
      ways = #{ways.transform_values(&:first).inspect}
      say(**#{middles.inspect}.to_h { |name, middle| [name.to_sym, ways.transform_values { |way| ending(middle, way) }] })
    RUBY
  end

  middles.each_key do |middle|
    ways.each do |way, (_, status, noise)|
      it "#{way} ends within two seconds and without a word (#{middle})" do
        ended = @ended[middle.to_sym][way.to_sym]
        expect(ended).to include(status: status, noise: noise)
        expect(ended[:seconds]).to be < 2
      end
    end
  end

  # After a fork ActiveRecord makes its pools anew, and their reaper with them, when somebody asks for one.
  it "ends though nobody but poolkeeper has asked for its pools" do
    said = answers(<<~RUBY, Support::Scripts::CONNECT, database: primary.config(pool: 5))
      require "poolkeeper"
      Poolkeeper.observe
      pid = fork { Poolkeeper::KarafkaListener.new.on_swarm_manager_before_fork(nil) }
      ended = error_of { wait_until(timeout: 10) { Process.wait(pid, Process::WNOHANG) } }.nil?
      Process.kill(:KILL, pid) unless ended
      say(ended: ended)
    RUBY
    expect(said).to eq(ended: true)
  end
end
