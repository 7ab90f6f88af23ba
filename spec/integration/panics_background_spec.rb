# frozen_string_literal: true

require "spec_helper"
require_relative "../support/trip"

# What works in the background goes on, whatever panics in it and whatever is raised in it.
RSpec.describe "A panic in the background", :database, :scripts do
  before(:context) { @prelude = Support::Trip.prelude }

  # `evicted` has the server end every idle connection, and waits until they have left the pool with no job involved.
  let(:start) { <<~RUBY }
    $log = StringIO.new
    require "poolkeeper"
    Poolkeeper.configure { |config| config.logger = Logger.new($log) }
    def warm_up
      Array.new(3) { pool.checkout.tap { |adapter| adapter.select_value("SELECT 1") } }
           .each { |adapter| pool.checkin(adapter) }
    end
    def evicted
      warm_up
      terminate
      wait_until(message: -> { "evicted: \#{$log.string}" }) { pool.connections.empty? }
      true
    end
    def keeper = Thread.list.select { |thread| thread.name == "poolkeeper" }
    def natives = Dir["/proc/self/task/*/comm"].map { |path| File.read(path).chomp }.grep("poolkeeper-io").size
    def lines(pattern) = $log.string.lines.grep(pattern).size
    def logged(pattern) = wait_until(message: -> { "\#{pattern} in \#{$log.string}" }) { lines(pattern).positive? }
    evicted
    raise "it starts with one of each" unless [keeper.size, natives] == [1, 1]
  RUBY

  def said(script)
    answers(script, @prelude, Support::Scripts::CONNECT, Support::Scripts::TERMINATE, start,
            database: primary.config(pool: 5))
  end

  it "in the timer of old leases is logged, and they are reported later" do
    expect(said(<<~RUBY)).to eq(told: 1, tripped: 1, held: true)
      reported = Queue.new
      Poolkeeper.events.subscribe("connection.leaked") { |event| reported << event[:owner] }
      trip("leases", 1)
      Poolkeeper.configure { |config| config.leak_threshold = 0.05 }
      adapter = hold
      owner = reported.pop
      say(told: lines(/waiting for old leases: tripped at leases/), tripped: tripped("leases"),
          held: owner == Thread.current.object_id && adapter.in_use? ? true : false)
    RUBY
  end

  # Who looks for long leases, and who asks a host.
  ["round", "vigil"].each do |place| # rubocop:disable Style/WordArray -- the list of places looks for them as they are
    it "in a host monitor (#{place}) is logged, and the host is asked later" do
      expect(said(<<~RUBY)).to eq(told: 1, tripped: 1, asked: true)
        def sockets = Dir["/proc/self/fd/*"].count { |path| File.readlink(path).start_with?("socket:") rescue false }
        hold.select_value("SELECT 1")
        before = sockets
        trip("#{place}", 1)
        Poolkeeper.configure { |config| config.host_monitor = { after: 0.2, interval: 0.2 } }
        wait_until(message: -> { "a connection of its own: \#{$log.string}" }) { sockets > before }
        logged(/watching over a host/)
        say(told: lines(/watching over a host: tripped at #{place}/), tripped: tripped("#{place}"), asked: true)
      RUBY
    end
  end

  describe "in the task that watches sockets" do
    it "is logged, and those connections are evicted as well as later ones" do
      expect(said(<<~RUBY)).to eq(evicted: [true, true], tripped: 3, told: 3, natives: 1)
        warm_up
        trip("watching", 3)
        both = [evicted, evicted]
        logged(/error|rescued/)
        wait_until(message: "all are told") { lines(/watching sockets: tripped at watching/) == 3 }
        say(evicted: both, tripped: tripped("watching"), told: lines(/watching sockets: tripped at watching/),
            natives: natives)
      RUBY
    end

    it "that never ends neither spins nor fills the log, no checkout gets a dead connection, and it is made good" do
      answer = said(<<~RUBY)
        warm_up
        trip("watching", 1_000_000)
        began = Support.now
        terminate
        wait_until(timeout: 20, message: "it is tried again and again") { tripped("watching") >= 11 }
        value = pool.with_connection { |adapter| [adapter.execute("UPDATE items SET n = 1"), 7].last }
        seconds = Support.now - began
        count = tripped("watching")
        trip("watching", 0)
        say(value: value, count: count, seconds: seconds, told: lines(/tripped at watching/), evicted: evicted)
      RUBY
      expect(answer).to include(value: 7, evicted: true)
      # The pauses double from 10 ms to a second.
      expect(answer[:count]).to be_between(11, 9 + answer[:seconds])
      expect(answer[:told]).to eq(10)
    end

    # One at each step: whoever comes by first, that task, the poolkeeper thread or a checkout, is the one to trip.
    ["hang-up", "locked", "changed", "hosts", "event queue"].each do |place|
      it "#{place}, twice, costs no eviction" do
        expect(said(<<~RUBY)).to eq(evicted: [true, true], tripped: 2, threads: [1, 1])
          warm_up
          trip("#{place}", 2)
          both = [evicted, evicted]
          say(evicted: both, tripped: tripped("#{place}"), threads: [keeper.size, natives])
        RUBY
        expect(script_errors.scan("tripped at #{place}").size).to eq(2)
      end
    end
  end

  describe "in the poolkeeper thread" do
    { "waiting" => "without the GVL", "event queue" => "with a lock held" }.each do |place, where|
      it "#{where} is logged, and the same thread goes on" do
        expect(said(<<~RUBY)).to eq(evicted: true, same: true, frames: 1, told: 1)
          before = keeper
          trip("#{place}", 1)
          logged(/the poolkeeper thread was started again: Poolkeeper::InternalError: .*tripped at #{place}/)
          done = evicted
          wait_until(message: "it waits again, and in nothing else") { Poolkeeper::Trip._frames == 1 }
          say(evicted: done, same: keeper == before, frames: Poolkeeper::Trip._frames, told: lines(/started again/))
        RUBY
      end
    end

    it "while it is woken is made good by the end of its slice" do
      expect(said(<<~RUBY)).to eq(ended: true, tripped: 1, evicted: true)
        # The eviction before may still have something to tell: whoever takes that waits again.
        thread = Thread.new { loop { Poolkeeper::Notices._next(60) } }
        wait_until(message: "it waits") { thread.status == "sleep" && thread.backtrace.first.include?("_next") }
        trip("unblocking", 1)
        thread.kill.join(5)
        say(ended: !thread.alive?, tripped: tripped("unblocking"), evicted: evicted)
      RUBY
    end

    it "again and again neither spins nor fills the log" do
      answer = said(<<~RUBY)
        began = Support.now
        trip("waiting", 1_000_000)
        wait_until(timeout: 20, message: "it is tried again and again") { tripped("waiting") >= 11 }
        seconds = Support.now - began
        count = tripped("waiting")
        trip("waiting", 0)
        say(count: count, seconds: seconds, told: lines(/started again/), evicted: evicted)
      RUBY
      expect(answer[:count]).to be_between(11, 9 + answer[:seconds])
      expect(answer).to include(told: 10, evicted: true)
    end
  end

  it "leaves the application its fork: the child starts clean and works, and so does the parent" do
    expect(said(<<~RUBY)).to eq(children: [[0, true]] * 6, evicted: true)
      children = Array.new(6) do |skip|
        trip("entry", 1, skip: skip, here: true)
        reader, writer = IO.pipe
        child = fork do
          trip("entry", 0) if skip == 5
          hold.select_value("SELECT 1")
          leases = Poolkeeper.stats.values.sum { |one| one[:leases].size }
          writer.write(Marshal.dump([leases, Poolkeeper.release, pool.stat[:busy], hold.select_value("SELECT 7")]))
          exit!(0)
        end
        trip("entry", 0)
        writer.close
        leases, released, busy, value = Marshal.load(reader.read)
        [Process.wait2(child).last.exitstatus, busy.zero? && value == 7 && leases <= 1 && released <= 1]
      end
      say(children: children, evicted: evicted)
    RUBY
  end
end
