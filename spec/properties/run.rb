# frozen_string_literal: true

# The random test in a process of its own: ruby spec/properties/run.rb SEED STEPS
ENV["PG_SKIP_DEPRECATION_WARNING"] = "16"

require "logger"
require "poolkeeper"
%w[wait proc postgres dialect database stateful].each { |file| require_relative "../support/#{file}" }
require_relative "../proof/switches" if ENV["POOLKEEPER_OFF"]

begin
  Support::Stateful::Run.new(Integer(ARGV.fetch(0)), Integer(ARGV.fetch(1))).call
rescue Support::Stateful::Violation => e
  warn(e.message)
  exit!(1)
ensure
  Support::Database.close
end
