# frozen_string_literal: true

require "spec_helper"
require_relative "../support/interrupts"
require_relative "../support/wait_points"

# Each interrupt at each place where poolkeeper waits; the places are listed in spec/support/wait_points.rb.
RSpec.describe "A wait", :database do
  include Support::Interrupts

  let(:failures) { Poolkeeper::Background.instance_variable_get(:@failures) }

  around do |example|
    subscribers = Poolkeeper.events.instance_variable_get(:@subscribers).dup
    # The log lines of this example are not those that one a minute ago has used up.
    Poolkeeper::Background.instance_variable_set(:@failures, Poolkeeper::Background::Failures.new)
    example.run
  ensure
    open_gates
    end_threads
    Poolkeeper.events.instance_variable_set(:@subscribers, subscribers)
    Poolkeeper::Background.instance_variable_set(:@failures, Poolkeeper::Background::Failures.new)
  end

  # @return [ActiveRecord::ConnectionAdapters::AbstractAdapter] the pool's one and only connection, used before
  def idle
    warm_up(1)
    writing_pool.connections.fetch(0)
  end

  # The methods in Ruby of a point, for Rust's frames are in no backtrace of Ruby's.
  def methods_of(point)
    rust, ruby = point.at.partition { |method| method.start_with?("ext/") }
    rust.empty? ? ruby : [*ruby, "wait_points.rb#_next"]
  end

  def victim(point, thread)
    return thread if point.who == :application
    return poolkeeper_thread if point.who == :poolkeeper

    Thread.list.find { |other| asleep_in?(other, methods_of(point)) }
  end

  def waiting?(point, thread)
    @gates.to_a.all?(&:arrived?) && asleep_in?(victim(point, thread), methods_of(point))
  end

  def wait_for_wait(point, thread)
    where = -> { victim(point, thread)&.backtrace&.grep(/poolkeeper/) }
    wait_until(message: -> { "it waits in #{point.at}, and not in #{where.call}" }) { waiting?(point, thread) }
    victim(point, thread)
  end

  # Whether an interrupt of a kind is held back until the wait is over.
  def held?(point, kind)
    lazy = Poolkeeper::Observed::Driver.lazy?
    case point.held
    when :kill then kind == :kill || lazy
    # mysql2 lets no Timeout interrupt a query, and nothing a ping, by which older checkouts ask the server.
    when :driver then Support::Dialect.family == :mariadb && (kind == :timeout || !lazy)
    else point.held
    end
  end

  def strike(kind, victim, due)
    case kind
    when :kill then victim.kill
    when :raise then victim.raise(Support::Interrupts::Raised)
    when :timeout then victim.singleton_methods.include?(:raise) ? due << true : victim.raise(Timeout::Error)
    end
  end

  def slots
    before = writing_pool.checkout_timeout
    writing_pool.checkout_timeout = 0.5
    adapters = Array.new(Support::Database::SIZE) { writing_pool.checkout }
    adapters.each { |adapter| adapter.select_value("SELECT 1") }
    adapters.uniq.size
  ensure
    adapters&.each { |adapter| writing_pool.checkin(adapter) }
    writing_pool.checkout_timeout = before
  end

  def leases
    Poolkeeper.stats.values.sum { |pool| pool[:leases].size }
  end

  # As another client and the pool count them, and a mirror that agrees; and what happens in the background goes on.
  def expect_nothing_lost
    # A thread that was killed with a lease in its hands has not released it: ActiveRecord's reaper does that, and the
    # poolkeeper thread has the mirror follow.
    writing_pool.reap
    Poolkeeper.release
    Poolkeeper::Observed::Walk.tidy
    expect(writing_pool.connections.map(&:owner)).to all(be_nil)
    expect([leases, slots, leases]).to eq([0, Support::Database::SIZE, 0])
    expect_no_other_connection
    expect_evictions
    expect_no_frame_left
  end

  def expect_no_other_connection
    wait_until(message: -> { "no connection beside the pool's: #{primary.backends}" }) do
      primary.backends.size == writing_pool.connections.size
    end
  end

  def expect_evictions
    # A socket that was not watched when it was first seen never is.
    Poolkeeper.configure { |config| config.watch = true }
    writing_pool.disconnect!
    slots
    Poolkeeper::Background.ensure_running
    primary.terminate(:all)
    wait_until(message: -> { "evicted: #{writing_pool.connections.size}" }) { writing_pool.connections.empty? }
  end

  # In the library that counts them (spec/integration/frames_spec.rb); one is the poolkeeper thread's own.
  def expect_no_frame_left
    return unless ENV["POOLKEEPER_FRAMES"]

    wait_until(message: -> { "#{Poolkeeper::Trip._frames} frames" }) { Poolkeeper::Trip._frames == 1 }
  end

  def expect_interrupted(point, kind, victim, thread)
    return expect_told(point, kind, victim) if point.who == :poolkeeper

    thread.join(5)
    expect([thread.alive?, thread[:outcome]]).to eq([false, outcome(point, kind)])
  end

  # What its caller gets to know.
  def outcome(point, kind)
    return [:raised, Poolkeeper::ConnectionError] if point.who == :attempt

    { timeout: [:raised, Timeout::Error], raise: [:raised, Support::Interrupts::Raised] }[kind]
  end

  # The poolkeeper thread goes on, or another in its place, and says so.
  def expect_told(point, kind, victim)
    if kind == :kill
      victim.join(5)
      Poolkeeper::Background.ensure_running
      expect_log(/the poolkeeper thread was started again: it had ended/)
    else
      said = /(?:started again|carrying an event|a subscriber of \S+ raised).*(?:Raised|Timeout::Error)/
      expect_log(said) unless point.silent
      expect(poolkeeper_thread).to equal(victim)
    end
  end

  # Lets the interrupt come, and looks that it is in time: let in at once, or, where a mask holds it back, not yet.
  def strike_in_time(point, kind, victim, thread, due)
    strike(kind, victim, due)
    if held?(point, kind)
      wait_until(message: "it is held back") { victim.pending_interrupt? }
      expect(waiting?(point, thread)).to be(true)
    else
      wait_until(message: -> { "the wait ends: #{victim.backtrace}" }) do
        thread.nil? || !victim.alive? || !asleep_in?(victim, methods_of(point))
      end
      expect_interrupted(point, kind, victim, thread)
    end
  end

  # Has a signal sent to this process once somebody waits, and sees the handler run before it lets the wait end.
  def watch(point, thread, order)
    Thread.new do
      victim = wait_for_wait(point, thread)
      order << :waiting
      Process.kill(Support::Interrupts::SIGNAL, Process.pid)
      wait_until(message: "the handler ran") { order.size == 2 }
      order << (asleep_in?(victim, methods_of(point)) ? :still_waiting : :not_waiting)
    ensure
      open_gates
      # A wait for an event ends with one.
      wait_until { Poolkeeper::Events.tell("release.kept") || point.who != :application || order.size == 4 }
    end
  end

  Support::WaitPoints.all.each do |point|
    describe point.name do
      { timeout: "a Timeout", kill: "Thread#kill", raise: "a raise from another thread" }.each do |kind, words|
        it "is #{point.held == true ? "followed" : "ended"} by #{words}, and nothing is lost" do
          due = Queue.new
          act = instance_exec(&point.reach)
          timed = kind == :timeout && point.who == :application
          thread = act && application { timed ? with_timeout(due) { act.call } : act.call }
          victim = wait_for_wait(point, thread)

          strike_in_time(point, kind, victim, thread, due)
          open_gates
          expect_interrupted(point, kind, victim, thread)
          expect_nothing_lost
        end
      end

      it "does not keep a handler of signals waiting, and nothing is lost" do
        order = Queue.new
        act = instance_exec(&point.reach)
        main = point.who == :application
        thread = main || act.nil? ? Thread.main : application(&act)
        watcher = watch(point, thread, order)
        with_handler(order) do
          act.call if main
        rescue Support::Interrupts::Raised
          nil
        ensure
          main ? order << :done : watcher.join
        end
        watcher.value
        thread.join(5) unless thread == Thread.main
        seen = Array.new(order.size) { order.pop }
        expect(seen).to eq([:waiting, :handled, :still_waiting, *(:done if main)])
        expect_nothing_lost
      end
    end
  end
end
