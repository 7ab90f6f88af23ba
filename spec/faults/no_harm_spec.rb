# frozen_string_literal: true

require "spec_helper"
require_relative "../support/faults"

# Invariant 13: what only looks like a fault costs nobody anything. Sessions are compared on the servers, sockets in the
# kernel's tables; jobs are counted as in suite_spec.
RSpec.describe "Workers of whom nothing is wrong", :faults, :once do
  before(:context) { @suite = Support::Faults::Suite.new }
  after(:context) { @suite&.close }

  Support::Faults::CALM.each_value.select { |calm| calm.on?(Support::Dialect.family) }.each do |calm|
    it "lose nothing by #{calm.name}" do
      # Statements of native pools are prepared, which a pooler of transactions learnt late.
      kinds = calm.route == :transaction ? %w[observed] : %w[observed native]
      told = @suite.run(calm.name, kinds.map { |kind| { kind: kind } })
      RSpec.configuration.reporter.message(told.map { |one| "    #{one.line}" }.join("\n"))
      expect(told.flat_map(&:wrong)).to eq([]), told.flat_map { |one| [one.line, *one.wrong, one.said] }.join("\n")
    end
  end
end
