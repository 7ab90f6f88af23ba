# frozen_string_literal: true

require "spec_helper"
require_relative "../support/monitors"

RSpec.describe "A native pool whose server falls silent", :database do
  include Support::Monitors

  before do
    monitor
    @pool = Poolkeeper::Pool.new(url, size: 4)
  end

  after do
    primary.thaw
    Poolkeeper.configure { |config| config.host_monitor = {} }
    @pool.release
    @pool.close
  end

  def url
    primary.url.sub("mysql2:", "mysql:")
  end

  # @return [Array] the error, and after how many seconds it came
  def failed
    started = Support.now
    yield
    nil
  rescue Poolkeeper::Error => e
    [e, Support.now - started]
  end

  # So many owners, each in the middle of a lease, that ask a server which has just frozen.
  def blocked(count)
    taken = Queue.new
    frozen = Queue.new
    threads = Array.new(count) do
      Thread.new do
        @pool.with do |db|
          db.query("SELECT 1")
          taken << true
          frozen.pop
          failed { db.query("SELECT 2") }
        end
      end
    end
    wait_until { taken.size == count }
    primary.freeze
    count.times { frozen << true }
    # Whoever is still blocked then is freed with the server.
    threads.map { |thread| thread.join(5) ? thread.value : :blocked }
  end

  it "frees its owners in time, keeps nothing from before, and works again with the server" do
    results = blocked(3)
    expect(results).not_to include(:blocked)
    expect(results).to all(match([be_a(Poolkeeper::ConnectionError), be < Support::Monitors::WITHIN]))
    wait_until { Support::Proc.sockets_to(primary.port) <= 1 }
    expect(Poolkeeper.healthy?).to be(false)
    primary.thaw
    wait_until { failed { @pool.with(&:ping) }.nil? }
    wait_until { Poolkeeper.healthy? }
    expect(Poolkeeper.stats.fetch(@pool.name)).to include(severed: 3)
  end

  it "leaves a long statement alone" do
    monitor(**Support::Monitors::CALM)
    rows = @pool.with { |db| db.query(dialect.sleep(Support::Monitors::WITHIN * 2)) }
    expect(rows.size).to eq(1)
    expect(Poolkeeper.stats.fetch(@pool.name)).to include(severed: 0)
  end
end
