# frozen_string_literal: true

require "spec_helper"
require_relative "../support/monitors"

# A primary that takes no writes any more tells a session that only reads nothing: its monitor sees it.
RSpec.describe "A demotion that no write has met", :database, only: :mariadb do
  include Support::Monitors

  before { monitor }

  after do
    primary.read_only!(false)
    Poolkeeper.configure { |config| config.host_monitor = {} }
  end

  it "is seen by the host monitor, and costs every connection from before" do
    seen = told("host.demoted", "connection.severed")
    warm_up(3)
    before = writing_pool.connections.map { |adapter| backend_of(adapter) }
    holding = Queue.new
    asked = -> { primary.log.scan(dialect::MONITOR).size }
    asked_before = asked.call
    reader = Thread.new do
      backend = backend_of(hold)
      holding.pop
      [backend, backend_of(hold)].tap { Poolkeeper.release }
    end
    # The second question is asked when the first was answered, by which the server takes writes.
    wait_until { asked.call >= asked_before + 2 }
    primary.read_only!(true)
    wait_until { told_of(seen, "127.0.0.1:#{primary.port}").any? }
    wait_until { (primary.backends.map(&:pid) & before).size <= 1 }
    holding << true
    # Whoever is at work goes on, and gives its connection up with the end of the lease.
    expect(reader.value.uniq.size).to eq(1)
    wait_until { (primary.backends.map(&:pid) & before).empty? }
    expect(told_of(seen, "127.0.0.1:#{primary.port}").map(&:id)).to eq(["host.demoted"])
  end

  it "is none for the pool of a replica, which never took any" do
    seen = told("host.demoted", "connection.evicted")
    ids = on_thread do
      adapter = hold(role: :reading)
      Array.new(2) { adapter.select_value("SELECT CONNECTION_ID() FROM (SELECT SLEEP(1.5)) AS slept") }
    ensure
      Poolkeeper.release
    end
    expect(ids.uniq.size).to eq(1)
    expect(told_of(seen, "127.0.0.1:#{standby.port}").map(&:id)).to eq([])
  end
end
