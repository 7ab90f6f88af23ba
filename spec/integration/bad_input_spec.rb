# frozen_string_literal: true

require "spec_helper"
require_relative "../support/karafka/bad_events"

RSpec.describe "Bad input", :database do
  let!(:dead) { dialect.dead }

  # The log once everything that happened so far has been written.
  def settled_log
    Poolkeeper::Events.tell("release.kept", reason: "the end")
    expect_log(/the end/)
    log_text
  end

  # Runs a block in a signal handler and answers its value.
  def in_trap
    said = Queue.new
    before = trap("USR2") do
      said << yield
    rescue Exception => e # rubocop:disable Lint/RescueException -- told to the example
      said << e
    end
    Process.kill("USR2", Process.pid)
    said.pop
  ensure
    trap("USR2", before || "DEFAULT")
  end

  describe "before anything is connected" do
    before { Support::Models.disconnect }
    after { Support::Models.connect }

    it "releases and verifies nothing, and raises nothing" do
      expect(Poolkeeper.release).to eq(0)
      expect(Poolkeeper.verify(dead)).to have_attributes(fault: :dead, pools: [], condemned: 0, dropped: 0)
      expect(Poolkeeper.verify).to have_attributes(fault: nil, dropped: 0)
      unconnected = ActiveRecord::ConnectionNotEstablished.new("No connection pool")
      expect(Poolkeeper.verify(unconnected)).to be_nil.or have_attributes(dropped: 0)
      expect(Poolkeeper.verify!.pools).to eq([])
      expect(settled_log).not_to include("rescued")
    end
  end

  describe "as an error" do
    {
      "nil" => nil, "an Integer" => 1, "a String" => "PG::ConnectionBad", "an Object" => Object.new, "false" => false,
      "a class" => RuntimeError, "an object that answers nothing" => Support::KarafkaBadEvents::Mute.new,
      "a SystemExit" => SystemExit.new(3), "a NoMemoryError" => NoMemoryError.new, "an Interrupt" => Interrupt.new("")
    }.each do |name, error|
      it "says nothing of a connection, and is nobody's fault (#{name})" do
        adapter = hold
        pid = backend_of(adapter)
        result = Poolkeeper.verify(error)

        # nil is no error: then only what is condemned already is dropped.
        nil.equal?(error) ? expect(result).to(have_attributes(fault: nil, dropped: 0)) : expect(result).to(be_nil)
        expect(backend_of(adapter)).to eq(pid)
        expect(settled_log).not_to include("rescued")
      end
    end

    it "is recognised where it is frozen" do
      on_thread do
        pool = hold.pool
        dead.define_singleton_method(:connection_pool) { pool }
        expect(Poolkeeper.verify(dead.freeze)).to have_attributes(fault: :dead, condemned: 1, dropped: 1)
      end
    end

    it "is recognised where the causes are a loop with a dead connection in it" do
      outer = RuntimeError.new("the application's")
      inner = dead
      outer.define_singleton_method(:cause) { inner }
      inner.define_singleton_method(:cause) { outer }
      expect(Poolkeeper.verify(outer)).to have_attributes(fault: :dead)
    end

    it "is recognised where its message, backtrace and cause raise" do
      error = Class.new(dialect.dead_class) do
        %i[message backtrace cause to_s inspect result connection_pool].each do |name|
          define_method(name) { |*| raise NotImplementedError, name.to_s }
        end
      end.new("server closed the connection unexpectedly")
      on_thread do
        hold
        expect(Poolkeeper.verify(error)).to have_attributes(fault: :dead)
      end
      expect(settled_log).not_to include("rescued")
    end

    it "names no pool where what it names is none" do
      error = dead
      error.define_singleton_method(:connection_pool) { "no pool" }
      expect { Poolkeeper.verify(error) }.not_to raise_error
      adapter = hold
      expect(Poolkeeper.release).to eq(1)
      expect(adapter.in_use?).to be_falsy
    end

    Support::KarafkaBadEvents.errors.each do |name, error|
      it "hurts nothing and nobody (#{name})" do
        adapter = hold
        pid = backend_of(adapter)
        expect { Poolkeeper.verify(error) }.not_to raise_error
        expect(backend_of(adapter)).to eq(pid)
        expect(Poolkeeper.release).to eq(1)
      end
    end
  end

  describe "from a signal handler" do
    it "releases nothing where nothing is held, and raises nothing" do
      on_thread { hold && Poolkeeper.release }
      # RSpec's own `let` takes a lock, which no handler of signals may.
      error = dead
      said = in_trap { [Poolkeeper.release, Poolkeeper.verify(error)&.fault, Poolkeeper.observe, Poolkeeper.stats] }
      expect(said).to match([0, :dead, true, an_instance_of(Hash)])
    end

    it "loses nothing of what is held: it goes back now or at the next release" do
      adapters = [hold, hold(role: :reading), writing_pool.checkout]
      first = in_trap { Poolkeeper.release }
      expect(first + Poolkeeper.release).to eq(3)
      expect(adapters.map(&:in_use?)).to all(be_falsy)
    end

    it "tears nothing: a running transaction block goes on and commits whole" do
      item = Support::Models::Item
      item.transaction do
        item.create!(n: 1)
        expect(in_trap { Poolkeeper.release }).to eq(0)
        item.create!(n: 2)
      end
      expect(rows).to eq(2)
      expect(Poolkeeper.release).to be_between(0, 1)
    end

    it "loses no verification: what is condemned is dropped now or at the next call" do
      adapter = hold
      primary.terminate([backend_of(adapter)])
      error = dead
      first = in_trap { Poolkeeper.verify(error)&.dropped }
      expect(first).to be_between(0, 1)
      Poolkeeper.release
      expect(written_by(hold)).to eq(1)
    end
  end

  describe "in a dying thread" do
    it "gives back what the thread holds, in the ensure that its kill runs" do
      said = Queue.new
      thread = Thread.new do
        hold
        hold(role: :reading)
        said << :ready
        sleep
      ensure
        said << Poolkeeper.release
      end
      said.pop
      thread.kill.join

      expect(said.pop).to eq(2)
      expect(pools.sum { |pool| pool.stat[:busy] + pool.stat[:dead] }).to eq(0)
    end

    it "verifies there too" do
      said = Queue.new
      thread = Thread.new do
        adapter = hold
        said << backend_of(adapter)
        sleep
      ensure
        said << Poolkeeper.verify(dead)&.dropped
      end
      primary.terminate([said.pop])
      thread.kill.join
      expect(said.pop).to eq(1)
    end
  end

  describe "Timeout and Thread#kill" do
    # The application's callback is slow: whatever comes meanwhile comes in the middle of the release.
    def slow(adapter, started)
      adapter.singleton_class.set_callback(:checkin, :before) do
        started << true
        sleep(0.3)
      end
    end

    it "around release is delivered after it, and tears nothing" do
      slow(hold, [])
      reading = hold(role: :reading)
      expect { Timeout.timeout(0.1) { Poolkeeper.release } }.to raise_error(Timeout::Error)

      expect(reading.in_use?).to be_falsy
      expect(pools.sum { |pool| pool.stat[:busy] }).to eq(0)
      expect(Poolkeeper.release).to eq(0)
    end

    it "in the middle of a release ends the thread, after everything was given back" do
      started = Queue.new
      reached = Queue.new
      thread = Thread.new do
        slow(hold, started)
        hold(role: :reading)
        Poolkeeper.release
        reached << true
      end
      started.pop
      thread.kill.join

      expect(pools.sum { |pool| pool.stat[:busy] + pool.stat[:dead] }).to eq(0)
      expect(reached).to be_empty
    end
  end

  describe "to verify!" do
    it "is refused by name, without what could be a password" do
      { 1 => /verify! takes .*given 1/, nil => /verify! takes/, "postgres://me:secret@host/db" => /given a String/,
        Object.new => /verify! takes/, RuntimeError => /verify! takes/ }.each do |given, message|
        expect { Poolkeeper.verify!(given) }.to(raise_error(ArgumentError, message) do |error|
          expect(error.full_message).not_to include("secret")
        end)
      end
    end

    it "is refused where the timeout is none" do
      ["5", nil, :five, [1], Float::NAN].each do |timeout|
        expect { Poolkeeper.verify!(timeout: timeout) }.to raise_error(ArgumentError, /timeout takes seconds/)
      end
    end

    it "fails at once where there is no time, and leaves nothing behind" do
      [0, -1].each do |timeout|
        expect { Poolkeeper.verify!(timeout: timeout) }.to raise_error(Poolkeeper::ConnectionError)
      end
      wait_until { pools.sum { |pool| pool.stat[:busy] + pool.stat[:dead] }.zero? }
      there = pools.sum { |pool| pool.stat[:connections] }
      wait_until(message: -> { "#{there} connections, and #{primary.backends}" }) { primary.backends.size <= there }
    end
  end
end

RSpec.describe "A process", :database, :scripts do
  it "whose very first call comes from a signal handler loses no lease that was out" do
    said = answers(<<~RUBY, Support::Scripts::CONNECT, "require 'poolkeeper'", database: primary.config(pool: 5))
      Poolkeeper.config.logger = nil
      adapter = hold
      first = Queue.new
      trap("USR2") { first << error_of { first << Poolkeeper.release } }
      Process.kill("USR2", $$)
      released = first.pop
      say(error: first.pop, released: released + Poolkeeper.release, in_use: !!adapter.in_use?,
          misses: Poolkeeper.stats.values.sum { |pool| pool[:mirror_misses] })
    RUBY
    expect(said).to eq(error: nil, released: 1, in_use: false, misses: 0)
  end

  it "releases and verifies in at_exit, in whatever order, and ends with its own status" do
    said = answers(<<~RUBY, Support::Scripts::CONNECT, Support::Scripts::POOLKEEPER, database: primary.config(pool: 5))
      at_exit { say(seen: $seen, busy: pool.stat[:busy]) }
      at_exit do
        adapter = hold
        adapter.begin_transaction(_lazy: false)
        $seen = [Poolkeeper.release, Poolkeeper.verify(#{Support::Dialect.current::DEAD})&.fault,
                 (hold && Poolkeeper.release)]
      end
      hold
    RUBY
    expect(said).to eq(seen: [2, "dead", 1], busy: 0).or eq(seen: [1, "dead", 1], busy: 0)
    wait_until(message: -> { primary.backends.inspect }) { primary.backends.empty? }
  end
end
