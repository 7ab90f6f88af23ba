# frozen_string_literal: true

require "spec_helper"
require_relative "../support/monitors"

# Servers that answer, and may look as if they did not.
RSpec.describe "A host monitor", :database do
  include Support::Monitors

  # Longer than it takes until a silent server's connections are ended.
  let(:long) { Support::Monitors::WITHIN * 2 }
  let(:host) { "127.0.0.1:#{primary.port}" }

  before { monitor(**Support::Monitors::CALM) }

  after { Poolkeeper.configure { |config| config.host_monitor = {} } }

  def unharmed
    seen = told("host.silent", "connection.severed", "connection.evicted", "connection.dropped")
    yield
    expect(told_of(seen, host).map(&:id)).to eq([])
    expect(counts.fetch(:severed)).to eq(0)
  end

  it "asks nobody while all leases are short" do
    # On a loaded machine a short lease may take a moment.
    monitor(after: 2)
    hold.select_value("SELECT 1")
    Poolkeeper.release
    ends = Support.now + 3
    log = primary.log_since { short_lease while Support.now < ends }
    expect(log.scan(dialect::MONITOR)).to eq([])
  end

  def short_lease
    hold.select_value("SELECT 1")
    Poolkeeper.release
  end

  it "asks over one connection of its own while a lease is long, and goes with it" do
    log = primary.log_since do
      adapter = hold
      own = backend_of(adapter)
      wait_until { primary.backends.size == 2 }
      adapter.execute(dialect.sleep(long))
      expect(backend_of(adapter)).to eq(own)
      Poolkeeper.release
      wait_until { primary.backends.size == 1 }
    end
    # Some seven questions; one that is answered late, on a loaded machine, leaves its connection.
    expect(log.scan(dialect::CONNECTS).size).to be_between(2, 5)
  end

  it "leaves a long query alone" do
    unharmed do
      adapter = hold
      expect(adapter.execute(dialect.sleep(long)).to_a.size).to eq(1)
      Poolkeeper.release
    end
  end

  it "leaves leases alone where the server has no connection left for it" do
    # Those of before may take a moment to go.
    wait_until { primary.backends.empty? }
    primary.sql(dialect.most_connections(1))
    unharmed do
      adapter = hold
      own = backend_of(adapter)
      log = primary.log_since { adapter.execute(dialect.sleep(long)) }
      expect(log).to match(dialect::TOO_MANY)
      expect(backend_of(adapter)).to eq(own)
    end
  ensure
    primary.sql(dialect.most_connections(nil))
  end

  it "is off where nobody lets it in, says so once, and does not ask on" do
    adapter = hold
    backend_of(adapter)
    Poolkeeper.release
    Poolkeeper::Monitors._credentials(Poolkeeper::Observed::Pools.number(writing_pool),
                                      primary.url.sub(%r{(mysql)?2?://\w+@}, '\1://nobody_here@'))
    unharmed do
      seen = told("host.unmonitored")
      log = primary.log_since do
        2.times do
          hold.execute(dialect.sleep(long))
          Poolkeeper.release
        end
      end
      expect(told_of(seen, host).size).to eq(1)
      expect(log_text).to include("a silent server would not be noticed")
      expect(log.scan(dialect::REFUSED_NOBODY).size).to eq(1)
    end
  end

  describe "beside one frozen backend", only: :postgresql do
    it "severs nobody: the server answers, and a long query looks the same" do
      backends = Queue.new
      frozen = Queue.new
      unharmed do
        waiting = Thread.new { wait_for_backend(backends, frozen) }
        primary.freeze_backend(backend = backends.pop)
        frozen << true
        adapter = hold
        own = backend_of(adapter)
        adapter.execute(dialect.sleep(long))
        expect(backend_of(adapter)).to eq(own)
        expect(waiting).to be_alive
        primary.thaw_backend(backend)
        expect(waiting.value).to eq(2)
      end
    ensure
      primary.thaw
    end

    def wait_for_backend(backends, frozen)
      backends << backend_of(hold)
      frozen.pop
      hold.select_value("SELECT 2").tap { Poolkeeper.release }
    end
  end
end
