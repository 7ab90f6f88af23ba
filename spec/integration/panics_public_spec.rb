# frozen_string_literal: true

require "spec_helper"
require_relative "../support/trip"

# What an application sees of a panic: a log line, and where it may, an InternalError.
RSpec.describe "A panic in Rust", :scripts do
  # What is called, and the documented value where nothing can be done; an error's name where the call may raise. Last,
  # what may come where every entry panics, as it would without poolkeeper.
  public_calls = {
    "release" => ["Poolkeeper.release", 0],
    "verify" => ["Poolkeeper.verify.class.name", "NilClass"],
    "verify (an error)" => ["Poolkeeper.verify(DEAD.dup).class.name", "NilClass"],
    "verify!" => ["Poolkeeper.verify!(timeout: 5).pools", "Poolkeeper::InternalError"],
    "wrap" => ["Poolkeeper.wrap { hold && 7 }", 7],
    "healthy?" => ["Poolkeeper.healthy?", true],
    # Nobody can say that they are up.
    "wait_until_up" => ["Poolkeeper.wait_until_up(timeout: 1, role: :writing)", false, [true, false]],
    "observe" => ["Poolkeeper.observe", true],
    "stats" => ["Poolkeeper.stats.transform_values { |one| one[:size] }", {}],
    "close" => ["Poolkeeper.close", true],
    "[]" => ["(Poolkeeper[:nowhere] rescue 7)", 7],
    "config" => ["Poolkeeper.config.mode", "act"],
    "events" => ["Poolkeeper.events.class.name", "Poolkeeper::Events"],
    "configure" => ["Poolkeeper.configure { |config| config.mode = :act }.mode", "act"],
    "configure (watch)" => ["Poolkeeper.configure { |config| config.watch = true }.watch", "Poolkeeper::InternalError"],
    "configure (leak_threshold)" => ["Poolkeeper.configure { |config| config.leak_threshold = nil }.leak_threshold",
                                     "Poolkeeper::InternalError"]
  }
  listener = {
    "on_worker_process" => "job", "on_worker_completed" => "nil", "on_error_occurred" => "job",
    "on_connection_listener_fetch_loop" => "nil", "on_connection_listener_after_fetch_loop" => "nil",
    "on_client_events_poll" => "nil", "on_swarm_manager_before_fork" => "nil", "on_swarm_node_after_fork" => "nil",
    "on_worker_scaling_up" => "nil", "on_app_stopped" => "nil"
  }.to_h { |name, event| [name, ["LISTENER.#{name}(#{event})", nil]] }
  # ... and the calls of ActiveRecord's in which we take part.
  foreign = {
    "with_connection" => ["pool.with_connection { |adapter| adapter.select_value('SELECT 7') }", 7],
    "a lease" => ["[pool.release_connection, hold.select_value('SELECT 7')].last", 7],
    "checkout and checkin" => ["[7, pool.checkin(pool.checkout)].first", 7],
    "a connection that died" => ["[terminate, hold.select_value('SELECT 7')].last", 7,
                                 [7, "ActiveRecord::StatementInvalid", "ActiveRecord::ConnectionFailed"]],
    "a new connection" => ["[pool.disconnect!, hold.select_value('SELECT 7')].last", 7]
  }
  calls = { **public_calls, **listener, **foreign }

  # Calls everything again and again, with a panic in the first native entry it uses, in the second, and so on to the
  # last; and with a panic in all of them.
  def self.answers_of(calls, prelude, database)
    extend Support::Scripts
    answers(<<~RUBY, prelude, Support::Scripts::CONNECT, Support::Scripts::TERMINATE, database: database, timeout: 100)
      $log = StringIO.new
      require "poolkeeper"
      Poolkeeper.configure { |config| config.logger = Logger.new($log) }
      DEAD = PG::ConnectionBad.new("server closed the connection unexpectedly")
      # Another one each time: one that has been told is not acted on again.
      def job = Struct.new(:payload).new({ error: DEAD.dup })
      LISTENER = Poolkeeper::KarafkaListener.new

      # A lease that the core could not be told of is found by the walk that comes with a release every ten seconds.
      def whole(walk)
        Poolkeeper::Observed::Walk.check(Thread.current) if walk
        Poolkeeper.release
        adapters = []
        5.times { adapters << pool.checkout }
        values = adapters.map { |adapter| adapter.select_value("SELECT 7") }
        [values, Poolkeeper.stats.values.map { |one| one[:leases].size }]
      rescue StandardError => e
        [e.message, pool.connections.map { |adapter| adapter.owner.inspect }]
      ensure
        (adapters | pool.connections).each { |adapter| pool.checkin(adapter) if adapter.in_use? }
      end

      def panicking(name, skip, times)
        hold.select_value("SELECT 1")
        $log.truncate(0)
        count = tripped("entry")
        trip("entry", times, skip: skip, here: true)
        value = begin
          yield
        rescue Exception => e
          e.class.name
        end
        trip("entry", 0)
        count = tripped("entry") - count
        count.zero? || value == "Poolkeeper::InternalError" ||
          wait_until(message: "a log line of \#{name}, entry \#{skip}") { $log.string.include?("tripped at entry") }
        { value: value, count: count, whole: whole(times > 1) }
      end

      said = #{calls.transform_values(&:first).inspect}.to_h do |name, code|
        call = eval("-> { \#{code} }")
        each = []
        each << panicking(name, each.size, 1, &call) while each.empty? || each.last[:count].positive?
        [name, { each: each, all: panicking(name, 0, 1_000, &call) }]
      end
      say(**said.transform_keys(&:to_sym))
    RUBY
  end

  before(:context) do
    database = Support::Database.cluster.primary.config(pool: 5, checkout_timeout: 0.2)
    @said = self.class.answers_of(calls, Support::Trip.prelude, database)
  end

  let(:whole) { [[7] * 5, [5]] }

  it "is looked for in every public call, and in every method of the listener" do
    expect(public_calls.keys.map { |name| name[/\S+/].to_sym }.uniq)
      .to match_array(Poolkeeper.public_methods(false) - Module.new.public_methods(false))
    expect(listener.keys.map(&:to_sym)).to match_array(Poolkeeper::KarafkaListener.public_instance_methods(false))
  end

  calls.each do |name, (_, neutral, bare)|
    it "ends nothing and loses nothing, whichever entry of it panics (#{name})" do
      each = @said[name.to_sym][:each]
      healthy = each.last
      expect(healthy).to include(count: 0, whole: whole)
      expect(each.map { |one| one[:whole] }).to all(eq(whole))
      expect(each.map { |one| one[:value] }).to all(eq(neutral).or(eq(healthy[:value])))
    end

    it "is the documented value where every entry of it panics (#{name})" do
      all = @said[name.to_sym][:all]
      expect(all[:whole]).to eq(whole)
      expected = all[:count].zero? ? @said[name.to_sym][:each].last[:value] : neutral
      expect(bare || [expected]).to include(all[:value])
    end
  end
end
