# frozen_string_literal: true

require "spec_helper"
require_relative "../support/monitors"

RSpec.describe "A server that is down", :database do
  include Support::Monitors

  # @return [StandardError, nil]
  def failure_of_a_job
    writing_pool.with_connection { |adapter| adapter.execute("SELECT 1") }
    nil
  rescue StandardError => e
    e
  end

  # From 7.1 on ActiveRecord lends what it connects later, and what then could not connect comes back, too.
  it "is not up again because jobs give back what has never reached it" do
    closed = told("incident.closed")
    warm_up(1)
    primary.stop
    wait_until { Support::Proc.open_to(primary.port).zero? }
    expect(Poolkeeper.verify(failure_of_a_job)).to have_attributes(fault: :unreachable)

    # A lease that begins a second later would prove something, had it a connection.
    last = Support.now + 1.2
    while Support.now < last
      expect(failure_of_a_job).not_to be_nil
      expect(Poolkeeper.healthy?).to be(false)
    end
    expect(told_of(closed, "127.0.0.1:#{primary.port}")).to be_empty
  ensure
    primary.start unless primary.running?
    wait_until { failure_of_a_job.nil? }
    wait_until { Poolkeeper.healthy? }
  end
end
