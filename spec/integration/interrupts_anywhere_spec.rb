# frozen_string_literal: true

require "spec_helper"
require_relative "../support/interrupts"

# Beside the places that wait (interrupts_spec): an interrupt between any two lines of ours that an application's thread
# runs. Each line is tried, one after the other.
RSpec.describe "An interrupt between two lines", :database do
  include Support::Interrupts

  dead = PG::ConnectionBad.new("server closed the connection unexpectedly")
  listener = Poolkeeper::KarafkaListener.new
  # What the thread does beforehand, and what is interrupted.
  cheap = {
    "a lease" => [-> { warm_up(1) }, -> { hold }],
    "a loan" => [-> { warm_up(1) }, -> { writing_pool.with_connection { nil } }],
    "a release" => [-> { hold && hold(role: :reading) && writing_pool.checkout }, -> { Poolkeeper.release }],
    "wrap" => [-> { warm_up(1) }, -> { Poolkeeper.wrap { hold } }],
    "the begin of a job" => [-> { hold }, -> { listener.on_worker_process(nil) }],
    "the begin of observing" => [-> { hold && Poolkeeper::Observed.instance_variable_set(:@observing, nil) },
                                 -> { Poolkeeper.observe }],
    "the start of the thread" => [-> { poolkeeper_thread&.kill&.join }, -> { Poolkeeper::Background.ensure_running }],
    "the statistics" => [-> { hold }, -> { Poolkeeper.stats }]
  }
  # These cost a connection each time.
  dear = {
    "the lease of a connection that is new" => [-> { writing_pool.disconnect! }, -> { hold }],
    "the lease of one that died" => [-> { hang_up(warm_up(1).fetch(0)) }, -> { hold }],
    "the release of a leak" => [-> { hold.begin_transaction }, -> { Poolkeeper.release }],
    "the release of one that died" => [-> { hang_up(hold) }, -> { Poolkeeper.release }],
    "the release of one whose callback raises" => [-> { raise_at_checkin(hold) }, -> { Poolkeeper.release }],
    "verify" => [-> { hold }, -> { Poolkeeper.verify(dead) }],
    "verify!" => [-> { hang_up(warm_up(1).fetch(0)) }, -> { Poolkeeper.verify!(Support::Models::Item) }],
    "the eve of a fork" => [-> { warm_up(1) }, -> { listener.on_swarm_manager_before_fork(nil) }]
  }
  kinds = %i[kill raise throw]

  # So that the poolkeeper thread evicts nothing meanwhile: every run comes by the same lines.
  before { Poolkeeper.configure { |config| config.watch = false } }
  after { end_threads }

  # The server seems to have hung up on a connection.
  def hang_up(adapter)
    adapter.select_value("SELECT 1")
    Poolkeeper::Sockets._shut_down(Poolkeeper::Observed::Driver.descriptor(adapter))
  end

  def raise_at_checkin(adapter)
    adapter.singleton_class.set_callback(:checkin, :before) { raise "the application's callback" }
  end

  # What Timeout sends: raised in the thread, it throws, past every rescue.
  def thrown(thread, tag)
    RuntimeError.new("execution expired").tap do |error|
      error.define_singleton_method(:exception) do |*|
        Thread.current.equal?(thread) ? throw(tag) : self
      end
    end
  end

  def strike(kind, thread, tag)
    case kind
    when :kill then thread.kill
    when :raise then thread.raise(Support::Interrupts::Raised)
    when :throw then thread.raise(thrown(thread, tag))
    end
  end

  # Runs an operation on a thread of its own, and calls the block with each place that it comes by. What the thread
  # holds in the end is released, as at the end of a job.
  def run(before, operation, release: true)
    tag = Object.new
    application do
      instance_exec(&before)
      thread = Thread.current
      tracer = TracePoint.new(:line, :return) do |event|
        next unless Thread.current.equal?(thread) && event.path.start_with?("#{OwnWarnings::ROOT}/lib/")

        yield thread, tag, "#{File.basename(event.path)}:#{event.lineno}, #{event.event} in #{event.method_id}"
      end
      catch(tag) { tracer.enable { instance_exec(&operation) } }
    ensure
      tracer&.disable
      Poolkeeper.release if release
    end.join(10) or raise "it hangs"
  end

  # @return [Array<String>] the places that an operation comes by
  def places(before, operation)
    found = []
    # What is done once, and remembered, is done by the first run.
    2.times do
      found.clear
      run(before, operation) { |_thread, _tag, place| found << place }
      lost
    end
    found.uniq - ends_of_checkin
  end

  # From here on an interrupt meets what it meets without us: between ActiveRecord's `expire` and the line by which it
  # queues the connection, several methods return.
  def ends_of_checkin
    { "hooks.rb" => "expire", "callbacks.rb" => "after" }.flat_map do |file, method|
      lines = File.readlines("#{OwnWarnings::ROOT}/lib/poolkeeper/observed/#{file}")
      last = lines.index { |line| line.match?(/\bqueue\(\w+\) unless seen/) } + 1
      ["#{file}:#{last}, line in #{method}", "#{file}:#{last + 1}, return in #{method}"]
    end
  end

  # Runs an operation, and has another thread interrupt it when it first comes by a place.
  #
  # @return [Boolean] whether it came by
  def interrupted(kind, place, before, operation, **options)
    there = false
    run(before, operation, **options) do |thread, tag, at|
      next if there || at != place

      there = true
      # Whatever mask holds there: the interrupt has come, and is let in as soon as that mask lets it.
      Thread.handle_interrupt(Object => :never) { Thread.new { strike(kind, thread, tag) }.join }
    end
    there
  end

  # A quick look, after every interrupt; what it misses is missing in the end, for a slot that is lost is lost for good.
  #
  # @return [String, nil] what was lost
  def lost
    Poolkeeper.release
    # A thread that was started for verify! may be on its way out; ActiveRecord's reaper looks after one that was killed
    # with a lease in its hands.
    wait_until(timeout: 2) { reap && leased.empty? }
    return "nobody can start the thread any more" if Poolkeeper::Background.instance_variable_get(:@starting).locked?

    queued = writing_pool.instance_variable_get(:@available).instance_variable_get(:@queue)
    there = writing_pool.connections
    "#{there.size - queued.size} slots" unless queued.sort_by(&:object_id) == there.sort_by(&:object_id)
  rescue Support::DeadlineError
    "leased to #{leased}"
  end

  def reap
    pools.each { |pool| pool.reap if pool.connections.any?(&:in_use?) }
  end

  def slots
    adapters = []
    Support::Database::SIZE.times { adapters << writing_pool.checkout(0.5) }
    adapters.each { |adapter| adapter.select_value("SELECT 1") }.uniq.size
  ensure
    adapters&.each { |adapter| writing_pool.checkin(adapter) }
  end

  def leased
    pools.flat_map(&:connections).map(&:owner).compact
  end

  # Interrupts an operation at each place that it comes by, in one of these ways, in turn where there are several.
  def expect_nothing_lost(kinds, before, operation)
    places = places(before, operation)
    wrong = places.zip(kinds.cycle).filter_map do |place, kind|
      there = interrupted(kind, place, before, operation)
      what = lost
      pools.each(&:disconnect!) if what
      [kind, place, there ? what : "it did not come by"] if what || !there
    end
    expect(wrong).to eq([])
    expect([places.size > 3, slots]).to eq([true, Support::Database::SIZE])
    Poolkeeper::Observed::Walk.tidy
    expect(Poolkeeper.stats.values.sum { |pool| pool[:leases].size }).to eq(0)
    wait_until(message: "no connection beside the pools'") do
      sockets = pools.flat_map(&:connections).map { |adapter| Poolkeeper::Observed::Driver.descriptor(adapter) }
      primary.backends.size + standby.backends.size == sockets.count(&:positive?)
    end
  end

  cheap.each do |name, (before, operation)|
    kinds.each { |kind| it("loses nothing (#{kind}, in #{name})") { expect_nothing_lost([kind], before, operation) } }
  end

  dear.each do |name, (before, operation)|
    it("loses nothing (in #{name})") { expect_nothing_lost(kinds, before, operation) }
  end

  # Nobody else would.
  kinds.each do |kind|
    it "leaves nothing to release behind wrap (#{kind})" do
      before, operation = cheap["wrap"]
      wrong = places(before, operation).select do |place|
        interrupted(kind, place, before, operation, release: false)
        leased.any?.tap { lost }
      end
      expect(wrong).to eq([])
    end
  end
end
