# frozen_string_literal: true

# Takes the copy of ActiveRecord that bin/platform/activerecord has made, and
# without one the ActiveRecord that Ruby finds. POOLKEEPER_ACTIVERECORD chooses
# the version; RSpec reads SPEC_OPTS itself.
desc "Run the specs (POOLKEEPER_ACTIVERECORD=7.2, SPEC=file, SPEC_OPTS=options)"
task spec: :compile do
  version = ENV.fetch("POOLKEEPER_ACTIVERECORD", "7.2")
  environment = {}
  if File.exist?("tmp/activerecord/#{version}/version")
    flags = `bin/platform/activerecord --rubyopt #{version}`.strip
    environment = { "POOLKEEPER_ACTIVERECORD" => version, "RUBYOPT" => "-w #{flags}" }
  end
  sh environment, "rspec", *ENV["SPEC"].to_s.split
end
