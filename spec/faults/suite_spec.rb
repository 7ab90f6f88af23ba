# frozen_string_literal: true

require "spec_helper"
require_relative "../support/faults"

# The short form of `rake faults`: each fault once, with five workers in each of two processes, one on ActiveRecord's
# pools and one on native ones. What is judged, and how, is in spec/support/faults/verdict.rb; all of it is seen from
# outside: rows as another client counts them, sessions on the servers, the kernel's tables.
RSpec.describe "Workers, their server and a fault", :faults do
  before(:context) { @suite = Support::Faults::Suite.new }
  after(:context) { @suite&.close }

  # Whatever differs between ActiveRecord's versions shows in these.
  versions = ["fast restart", "promotion", "frozen server", "dropped packets"]

  def expect_fine(fault, *kinds, manner: "plain")
    told = @suite.run(fault, kinds.map { |kind| { kind: kind, manner: manner } })
    RSpec.configuration.reporter.message(told.map { |one| "#{" " * 4}#{one.line}" }.join("\n"))
    expect(told.flat_map(&:wrong)).to eq([]), told.map { |one| [one.line, *one.wrong, one.said].join("\n") }.join("\n")
  end

  Support::Faults.possible(Support::Dialect.family).each do |fault|
    it "cost no more than they must: #{fault.name}", *(:once unless versions.include?(fault.name)) do
      kinds = ENV["POOLKEEPER_ACTIVERECORD"] == "6.1" ? %w[observed] : %w[observed native]
      expect_fine(fault.name, *kinds)
    end
  end

  { "fast restart" => %w[interrupted observed native], "terminate all" => %w[interrupted observed native],
    "kill" => %w[forked observed native] }.each do |fault, (manner, *kinds)|
    it "cost no more than they must: #{fault}, #{manner}", :once do
      expect_fine(fault, *kinds, manner: manner)
    end
  end
end
