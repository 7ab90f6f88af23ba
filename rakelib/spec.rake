# frozen_string_literal: true

# The environment for a version of ActiveRecord: the copy that bin/platform/activerecord has made, and without one the
# ActiveRecord that Ruby finds.
def active_record_environment(version)
  return {} unless File.exist?("tmp/activerecord/#{version}/version")

  flags = `bin/platform/activerecord --rubyopt #{version}`.strip
  { "POOLKEEPER_ACTIVERECORD" => version, "RUBYOPT" => "-w #{flags}" }
end

desc "Run the specs (POOLKEEPER_ACTIVERECORD=7.2, SPEC=file; RSpec itself reads SPEC_OPTS)"
task spec: :compile do
  version = ENV.fetch("POOLKEEPER_ACTIVERECORD", "7.2")
  sh active_record_environment(version), "rspec", *ENV["SPEC"].to_s.split
end
