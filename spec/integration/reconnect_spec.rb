# frozen_string_literal: true

require "spec_helper"
require_relative "../support/interrupts"

# ActiveRecord takes a connection for verified before it has configured it, and Thread#kill runs no `rescue`.
RSpec.describe "A connection whose owner is interrupted while ActiveRecord configures it", :database do
  include Support::Interrupts

  after { open_gates }

  # The value of a setting that ActiveRecord gives each session, in the session of the next owner.
  def setting
    writing_pool.with_connection { |adapter| adapter.select_value(dialect::CONFIGURED.first) }
  end

  # An owner connects anew, and is stopped where the new session is as the server has made it; he releases, as every
  # job does, on his way out.
  def reconnecting(gate, by: :reconnect!)
    thread = Thread.new do
      adapter = hold
      adapter.define_singleton_method(:configure_connection) do
        gate.wait
        super()
      end
      adapter.public_send(by)
    ensure
      adapter.singleton_class.send(:remove_method, :configure_connection)
      Poolkeeper.release
    end
    thread.report_on_exception = false
    wait_until { gate.arrived? }
    thread
  end

  ways = { "killed" => :kill.to_proc, "raised at" => ->(thread) { thread.raise(Support::Interrupts::Raised) } }
  ways.to_a.product(%i[reconnect! reset!]).each do |(words, interrupt), by|
    it "is not given to the next (#{words} in #{by})" do
      warm_up(1)
      gate = gate()
      thread = reconnecting(gate, by: by)
      interrupt.call(thread)
      wait_until { !thread.alive? }
      gate.open
      expect(setting).to eq(dialect::CONFIGURED.last)
      expect(writing_pool.stat[:busy]).to eq(0)
      wait_until(message: "one session") { Support::Proc.open_to(primary.port) == writing_pool.connections.size }
    end
  end

  it "is kept where he is interrupted as soon as it is configured" do
    warm_up(1)
    gate = gate()
    backend = nil
    thread = Thread.new do
      hold.reconnect!
      backend = backend_of(hold)
      gate.wait
    ensure
      Poolkeeper.release
    end
    wait_until { gate.arrived? }
    thread.kill.join
    expect(writing_pool.with_connection { |adapter| backend_of(adapter) }).to eq(backend)
    expect(setting).to eq(dialect::CONFIGURED.last)
    expect(counts[:dropped]).to eq(0)
  end
end
