# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Connections that the server closes", :database do
  def idle
    writing_pool.connections.reject(&:in_use?)
  end

  it "are evicted while idle, at once and with no job involved, and nothing is sent" do
    warm_up
    sent = primary.log_since do
      primary.terminate(:all)
      wait_until(message: "all evicted") { writing_pool.connections.empty? }
      # They leave the pool before they are closed.
      wait_until { Support::Proc.sockets_to(primary.port).zero? }
    end
    expect(sent).not_to match(dialect::STATEMENT)
    expect(counts[:evicted]).to eq(5)
  end

  it "are evicted too where they were out when the server closed them, as soon as they come back" do
    adapters = Array.new(2) { writing_pool.checkout }
    adapters.each { |adapter| backend_of(adapter) }
    primary.terminate(:all)
    adapters.each { |adapter| writing_pool.checkin(adapter) }

    wait_until(message: "evicted") { writing_pool.connections.empty? }
    expect(writing_pool.with_connection { |adapter| adapter.select_value("SELECT 1") }).to eq(1)
  end

  it "are never handed out: the death is known at the very next checkout" do
    warm_up(1)
    20.times do
      adapter = writing_pool.checkout
      backend = backend_of(adapter)
      writing_pool.checkin(adapter)
      # Held, so that the poolkeeper thread cannot be first.
      writing_pool.synchronize { primary.terminate([backend]) }

      adapter = writing_pool.checkout
      expect(written_by(adapter)).to eq(1)
      writing_pool.checkin(adapter)
    end
  end

  it "are dropped by their owner's release, not by anybody else" do
    adapter = hold
    primary.terminate([backend_of(adapter)])
    wait_until { Poolkeeper::Observed::Eviction.sweep(writing_pool).zero? }
    expect(adapter.owner).to eq(Thread.current)

    expect(Poolkeeper.release).to eq(1)
    expect(written_by(hold)).to eq(1)
  end

  it "are looked at when they are checked out where there is no watch" do
    Poolkeeper.configure { |config| config.watch = false }
    warm_up(3)
    primary.terminate(:all)
    expect(writing_pool.connections.size).to eq(3)

    3.times { writing_pool.with_connection { |adapter| adapter.execute("UPDATE items SET n = 1") } }
    expect(counts[:dropped]).to be >= 1
  end

  # An interrupt in the middle of ActiveRecord's checkin leaves the same: an idle connection that nobody has shown. From
  # 7.1 on it is `expire` itself that would show it.
  def check_in_without_a_word(adapter)
    expire = adapter.method(:expire)
    expire = expire.super_method if expire.owner == Poolkeeper::Observed::Hooks
    writing_pool.synchronize do
      expire.call
      writing_pool.instance_variable_get(:@available).add(adapter)
    end
  end

  it "are found from the next walk on where they came back without a word, on another socket" do
    warm_up(1)
    adapter = writing_pool.checkout
    # Not while it is idle: it could be evicted in the middle, and pg frees memory twice where two threads do both.
    adapter.reconnect!
    backend = backend_of(adapter)
    check_in_without_a_word(adapter)
    Poolkeeper::Observed::Walk.tidy
    primary.terminate([backend])

    wait_until(message: "evicted") { writing_pool.connections.empty? }
  end

  it "are found behind the same descriptor number after a reconnect within a lease" do
    adapter = writing_pool.checkout
    adapter.select_value("SELECT 1")
    writing_pool.checkin(adapter)
    adapter = writing_pool.checkout
    before = Poolkeeper::Observed::Driver.descriptor(adapter)
    link = Support::Proc.fds[before]
    adapter.reconnect!
    backend = backend_of(adapter)
    after = Poolkeeper::Observed::Driver.descriptor(adapter)
    expect(Support::Proc.fds[after]).not_to eq(link)
    writing_pool.checkin(adapter)

    primary.terminate([backend])
    wait_until(message: "evicted, whichever its number (#{before}, #{after})") { writing_pool.connections.empty? }
  end

  it "are found behind the same descriptor number after the driver reconnected by itself", only: :mariadb do
    disconnect
    connect(reconnect: true)
    adapter = writing_pool.checkout
    backend = backend_of(adapter)
    writing_pool.checkin(adapter)
    adapter = writing_pool.checkout
    before = Poolkeeper::Observed::Driver.descriptor(adapter)
    primary.terminate([backend])
    # The lowest number that is free: none below may become so meanwhile.
    GC.start
    GC.disable
    expect(adapter.select_value("SELECT 1")).to eq(1)
    expect(Poolkeeper::Observed::Driver.descriptor(adapter)).to eq(before)
    backend = backend_of(adapter)
    writing_pool.checkin(adapter)
    expect(primary.backends.map(&:pid)).to eq([backend])

    primary.terminate([backend])
    wait_until(message: "evicted, though its number (#{before}) is the same") { writing_pool.connections.empty? }
  ensure
    GC.enable
  end

  it "are evicted where the server does not want them idle for so long, and that is no incident" do
    # Two of seven: with the example before, they could be three of as many.
    warm_up(pool: ActiveRecord::Base.connected_to(role: :writing, shard: :one) { writing_pool })
    adapters = Array.new(2) { writing_pool.checkout }
    adapters.each do |adapter|
      adapter.execute(dialect::LIMIT_IDLING)
      writing_pool.checkin(adapter)
    end

    wait_until(message: "evicted") { writing_pool.connections.empty? }
    expect(counts[:evicted]).to eq(2)
    expect(Poolkeeper.healthy?).to be(true)
  end

  it "are watched over unix sockets, too" do
    ActiveRecord::Base.establish_connection(primary.socket_config(pool: 3))
    warm_up(3)
    expect(counts[:host]).to start_with("unix:/")
    primary.terminate(:all)
    wait_until(message: "evicted") { writing_pool.connections.empty? }
    expect(counts[:evicted]).to eq(3)
    expect(written_by(hold)).to eq(1)
  end

  it "are no hang-ups where the application closes them by itself, though the server be faster with it" do
    warm_up(3)
    pids = Array.new(3) { writing_pool.checkout }.to_h { |adapter| [adapter, backend_of(adapter)] }
    pids.each do |adapter, pid|
      # The server's end comes before ours, and a checkout elsewhere looks at what has hung up.
      server_first = lambda do
        primary.terminate([pid])
        hold(role: :reading).select_value("SELECT 1")
      end
      raw = %i[@raw_connection @connection].filter_map { |name| adapter.instance_variable_get(name) }.first
      raw.define_singleton_method(:close) { server_first.call && super() }
      writing_pool.checkin(adapter)
    end
    writing_pool.disconnect!

    expect(primary.backends).to be_empty
    expect(counts).to include(condemned: 0, evicted: 0, dropped: 0)
    expect(Poolkeeper.healthy?).to be(true)
  end

  describe "and their healthy neighbours" do
    it "stay: one backend terminated is no restart" do
      warm_up
      # Of ten: with the example before, it could be one of three.
      warm_up(pool: ActiveRecord::Base.connected_to(role: :writing, shard: :one) { writing_pool })
      victim, *others = idle.map { |adapter| writing_pool.checkout && adapter }
      pids = [victim, *others].to_h { |adapter| [adapter, backend_of(adapter)] }
      pids.each_key { |adapter| writing_pool.checkin(adapter) }
      primary.terminate([pids[victim]])
      wait_until { writing_pool.connections.size == 4 }

      expect(primary.backends.map(&:pid)).to include(*pids.values_at(*others))
      expect(primary.backends.size).to eq(9)
      expect(Poolkeeper.healthy?).to be(true)
    end

    it "stay where a notification, a changed setting or a notice makes them readable", only: :postgresql do
      warm_up
      adapters = Array.new(5) { writing_pool.checkout }
      adapters.each { |adapter| adapter.execute("LISTEN orders") }
      pids = adapters.map { |adapter| backend_of(adapter) }
      adapters.each { |adapter| writing_pool.checkin(adapter) }
      primary.sql("NOTIFY orders")
      primary.sql("ALTER SYSTEM SET DateStyle = 'SQL, DMY'")
      primary.sql("SELECT pg_reload_conf()")
      readable = idle.map { |adapter| IO.for_fd(Poolkeeper::Observed::Driver.descriptor(adapter), autoclose: false) }
      wait_until(message: "all readable") { readable.all? { |io| io.wait_readable(0) } }

      expect(Poolkeeper::Observed::Eviction.sweep(writing_pool)).to eq(0)
      5.times { writing_pool.with_connection { |adapter| adapter.select_value("SELECT 1") } }
      expect(primary.backends.map(&:pid)).to match_array(pids)
      expect(counts).to include(evicted: 0, dropped: 0, discarded: 0)
    ensure
      primary.sql("ALTER SYSTEM RESET DateStyle")
      primary.sql("SELECT pg_reload_conf()")
    end

    it "stay where a statement was killed, a variable tracked or the server's settings changed", only: :mariadb do
      warm_up
      adapters = Array.new(5) { writing_pool.checkout }
      adapters.each { |adapter| adapter.execute("SET SESSION session_track_system_variables = '*'") }
      pids = adapters.map { |adapter| backend_of(adapter) }
      adapters.each { |adapter| writing_pool.checkin(adapter) }
      pids.each { |pid| primary.sql("KILL QUERY #{pid}") }
      primary.sql("SET GLOBAL wait_timeout = 20000, GLOBAL max_connections = 70")

      expect(Poolkeeper::Observed::Eviction.sweep(writing_pool)).to eq(0)
      5.times { writing_pool.with_connection { |adapter| adapter.execute("SET SESSION sort_buffer_size = 65536") } }
      expect(primary.backends.map(&:pid)).to match_array(pids)
      expect(counts).to include(evicted: 0, dropped: 0, discarded: 0)
    ensure
      primary.sql("SET GLOBAL wait_timeout = DEFAULT, GLOBAL max_connections = 80")
    end

    it "stay where another owner has them, whatever error is told of" do
      borrowed = Queue.new
      done = Queue.new
      other = Thread.new do
        adapter = hold
        borrowed << backend_of(adapter)
        done.pop
        backend_of(adapter)
      end
      pid = borrowed.pop
      hold
      Poolkeeper.verify(dialect.dead)
      Poolkeeper::Observed::Eviction.sweep(writing_pool)
      Poolkeeper.release
      done << true
      expect(other.value).to eq(pid)
    end

    it "stay in use through a query of many seconds" do
      adapter = writing_pool.checkout
      pid = backend_of(adapter)
      query = Thread.new { adapter.select_value(dialect.sleep(2)) }
      wait_until { primary.backends(pid: pid, state: "active").any? }
      Poolkeeper.verify(dialect.dead)
      query.join
      expect(backend_of(adapter)).to eq(pid)
      writing_pool.checkin(adapter)
    end
  end

  it "are left to the next checkout while somebody waits for a connection" do
    holders = Array.new(5) { writing_pool.checkout }
    pids = holders.map { |adapter| backend_of(adapter) }
    waiter = Thread.new { writing_pool.with_connection { |adapter| written_by(adapter) } }
    wait_until { writing_pool.num_waiting_in_queue == 1 }
    primary.terminate(pids)
    writing_pool.checkin(holders.shift)

    expect(waiter.value).to eq(1)
    holders.each { |adapter| writing_pool.checkin(adapter) }
  end
end
