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
  short = {
    "a lease" => [-> { warm_up(1) }, -> { hold }],
    "a loan" => [-> { warm_up(1) }, -> { writing_pool.with_connection { nil } }],
    "the begin of a job" => [-> { hold }, -> { listener.on_worker_process(nil) }],
    "the begin of observing" => [-> { hold && Poolkeeper::Observed.instance_variable_set(:@observing, nil) },
                                 -> { Poolkeeper.observe }],
    "the start of the thread" => [-> { poolkeeper_thread&.kill&.join }, -> { Poolkeeper::Background.ensure_running }],
    "the statistics" => [-> { hold }, -> { Poolkeeper.stats }]
  }
  # These come by many places, or cost a connection each time.
  long = {
    "a release" => [-> { hold && hold(role: :reading) && writing_pool.checkout }, -> { Poolkeeper.release }],
    "wrap" => [-> { warm_up(1) }, -> { Poolkeeper.wrap { hold } }],
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

  # Runs an operation on a thread of its own, calls the block with each place that it comes by, and looks for what is
  # lost. The thread releases in the end, as after a job, and lives on meanwhile, unless it was killed.
  #
  # @return [Object] what was seen
  def run(before, operation, release: true, look: -> { lost }, &came_by)
    finished = Queue.new
    stay = Queue.new
    thread = Thread.new do
      instance_exec(&before)
      try(operation, &came_by)
    ensure
      Poolkeeper.release if release
      finished << true
      # A thread that is killed waits for nothing any more.
      stay.pop
    end
    wait_until(timeout: 10, message: -> { "it hangs: #{thread.backtrace}" }) { !finished.empty? || !thread.alive? }
    look.call
  ensure
    stay.close
    thread.join(10)
  end

  def try(operation, &came_by)
    tag = Object.new
    tracers = ours.map { |method| tracer(Thread.current, tag, came_by).tap { |tracer| tracer.enable(target: method) } }
    begin
      catch(tag) { instance_exec(&operation) }
    rescue Exception # rubocop:disable Lint/RescueException -- the interrupt, or what verify! says of it
      nil
    end
  ensure
    tracers&.each(&:disable)
  end

  # Our methods, each to be traced by itself: to trace everything takes ten times as long.
  def ours
    @ours ||= ObjectSpace.each_object(Module).select { |mod| named_ours?(mod) }.flat_map do |mod|
      [mod, mod.singleton_class].flat_map { |owner| written_in(owner) }
    end
  end

  # Some answer to `name` as they like.
  def named_ours?(mod)
    Module.instance_method(:name).bind_call(mod)&.match?(/\APoolkeeper\b/)
  end

  def written_in(owner)
    names = owner.instance_methods(false) + owner.private_instance_methods(false)
    methods = names.map { |name| owner.instance_method(name) }
    # An attr_reader has a place in a file, but no code.
    methods.select { |method| RubyVM::InstructionSequence.of(method) && ours?(method.source_location.first) }
  end

  def ours?(path)
    path.start_with?("#{OwnWarnings::ROOT}/lib/")
  end

  def tracer(thread, tag, came_by)
    TracePoint.new(:line, :return) do |event|
      next unless Thread.current.equal?(thread)

      came_by.call(thread, tag, "#{File.basename(event.path)}:#{event.lineno}, #{event.event} in #{event.method_id}")
    end
  end

  # @return [Array<String>] the places that an operation comes by
  def places(before, operation)
    found = []
    # What is done once, and remembered, is done by the first run.
    2.times do
      found.clear
      run(before, operation, look: -> {}) { |_thread, _tag, place| found << place }
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
  # @return [Object] what was seen then
  def interrupted(kind, place, before, operation, **options)
    there = false
    seen = run(before, operation, **options) do |thread, tag, at|
      next if there || at != place

      there = true
      # Whatever mask holds there: the interrupt has come, and is let in as soon as that mask lets it.
      Thread.handle_interrupt(Object => :never) { Thread.new { strike(kind, thread, tag) }.join }
    end
    there ? seen : "it did not come by"
  end

  # A quick look, after every interrupt; what it misses is missing in the end, for a slot that is lost is lost for good.
  #
  # @return [String, nil] what was lost
  def lost
    Poolkeeper.release
    # A thread that was started for verify! may be on its way out; ActiveRecord's reaper looks after one that was killed
    # with a lease in its hands.
    wait_until { reap && leased.empty? }
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

  # Interrupts an operation at each place that it comes by, in one of these ways; in turn where there are several, and
  # with another version of ActiveRecord in another turn.
  #
  # @return [Array<Array>] what was wrong, and where
  def wrong_places(kinds, before, operation, **options)
    ways = kinds.rotate(ActiveRecord::VERSION::MINOR).cycle
    found = places(before, operation)
    raise "it comes by nothing of ours: #{found}" if found.size <= 3

    found.zip(ways).filter_map do |place, kind|
      what = interrupted(kind, place, before, operation, **options)
      [kind, place, what] if what
    end
  end

  def expect_nothing_lost
    expect(slots).to eq(Support::Database::SIZE)
    Poolkeeper::Observed::Walk.tidy
    expect(Poolkeeper.stats.values.sum { |pool| pool[:leases].size }).to eq(0)
    wait_until(message: "no connection beside the pools'") do
      # One that was interrupted between its connect and ActiveRecord's noting it is nobody's, with or without us.
      GC.start
      sockets = pools.flat_map(&:connections).map { |adapter| Poolkeeper::Observed::Driver.descriptor(adapter) }
      primary.backends.size + standby.backends.size == sockets.count(&:positive?)
    end
  end

  examples = short.to_a.product(kinds.map { |kind| [kind] }) + long.to_a.product([kinds])
  examples.each do |(name, steps), ways|
    it "loses nothing (#{ways.join(", ")} in #{name})" do
      expect(wrong_places(ways, *steps)).to eq([])
      expect_nothing_lost
    end
  end

  # Nobody else would release it.
  it "leaves nothing behind wrap" do
    look = -> { leased.map(&:inspect).first.tap { lost } }
    expect(wrong_places(kinds, *long["wrap"], release: false, look: look)).to eq([])
  end

  # ... nor end the thread that verify! has started, which would take the next connection there is.
  it "leaves no attempt behind verify!" do
    # No attempt ends of itself while somebody looks.
    writing_pool.checkout_timeout = 60
    holders = Array.new(Support::Database::SIZE) { writing_pool.checkout }
    look = lambda do
      wait_until { writing_pool.num_waiting_in_queue.zero? } && nil
    rescue Support::DeadlineError
      "somebody waits"
    end
    operation = -> { Poolkeeper.verify!(Support::Models::Item, timeout: 0.02) }
    expect(wrong_places(kinds, -> {}, operation, look: look)).to eq([])
    holders.each { |adapter| writing_pool.checkin(adapter) }
    expect_nothing_lost
  end
end
