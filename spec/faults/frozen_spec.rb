# frozen_string_literal: true

require "spec_helper"
require_relative "../support/monitors"

# Every process of the server stands still, and its kernel goes on acknowledging: no socket ever hangs up.
RSpec.describe "A frozen server" do
  include Support::Monitors

  after { Poolkeeper.configure { |config| config.host_monitor = {} } }

  def timed
    started = Support.now
    yield
    nil
  rescue StandardError => e
    [e, Support.now - started]
  end

  describe "that ActiveRecord's connections lead to", :database do
    before { monitor }

    after { primary.thaw if primary.running? }

    # So many workers that send a statement to the server that has just frozen.
    def blocked(count)
      begun = Queue.new
      frozen = Queue.new
      threads = Array.new(count) { Thread.new { work(begun, frozen) } }
      wait_until { begun.size == count }
      primary.freeze
      count.times { frozen << true }
      block_given? ? yield(threads) : threads.map { |thread| value_of(thread) }
    end

    # Whoever is blocked for longer is freed with the server.
    def value_of(thread)
      thread.join(5) ? thread.value : :blocked
    end

    # @return [Array, nil] the error of the second statement, and after how many seconds it came
    def work(begun, frozen)
      hold.select_value("SELECT 1")
      begun << true
      frozen.pop
      timed { hold.select_value("SELECT 2") }
    ensure
      Poolkeeper.release
    end

    it "frees everybody who waits for it, from before and in time" do
      results = blocked(5)
      expect(results).not_to include(:blocked)
      expect(results).to all(match([be_a(StandardError), be < Support::Monitors::WITHIN]))
    end

    it "keeps no connection from before, and is asked until it answers" do
      seen = told("host.silent", "host.up", "connection.severed")
      blocked(5)
      # The monitor's own is left, with which it asks on.
      wait_until { Support::Proc.sockets_to(primary.port) <= 1 }
      expect(Poolkeeper.healthy?).to be(false)
      primary.thaw
      host = "127.0.0.1:#{primary.port}"
      wait_until { told_of(seen, host).map(&:id).include?("host.up") }
      expect(told_of(seen, host).map(&:id).tally).to eq("host.silent" => 1, "connection.severed" => 5, "host.up" => 1)
      expect(on_thread { hold.select_value("SELECT 1").tap { Poolkeeper.release } }).to eq(1)
      wait_until { Poolkeeper.healthy? }
    end

    it "is left alone where only reports are wanted" do
      Poolkeeper.configure { |config| config.mode = :report }
      seen = told("connection.severed")
      blocked(2) do |threads|
        wait_until { told_of(seen, "127.0.0.1:#{primary.port}").size == 2 }
        expect(threads).to all(be_alive)
        primary.thaw
        expect(threads.map(&:value)).to eq([nil, nil])
      end
    ensure
      Poolkeeper.configure { |config| config.mode = :act }
    end
  end
end
