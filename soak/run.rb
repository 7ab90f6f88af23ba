# frozen_string_literal: true

# Healthy load, and what is left of it: ruby soak/run.rb MINUTES. Started by `rake soak`.
ENV["PG_SKIP_DEPRECATION_WARNING"] = "16"

require "logger"
require "poolkeeper"
require "active_record"
%w[wait proc postgres database driver resources async karafka_worker].each do |file|
  require_relative "../spec/support/#{file}"
end
%w[log jobs consumers plan state figures report soak].each { |file| require_relative file }

begin
  report = Soak::Soak.new(Float(ARGV.fetch(0)) * 60).call
  puts report
  exit(report.clean?)
ensure
  Support::Database.close
end
