# frozen_string_literal: true

namespace :bench do
  desc "What faults cost with poolkeeper and without, on both families of servers; fails where a target is missed " \
       "(BENCH=frozen,demoted: some rows)"
  task :faults do
    ENV["POOLKEEPER_PROFILE"] ||= "release"
    Rake::Task[:compile].invoke
    version = ENV.fetch("POOLKEEPER_ACTIVERECORD", "7.2")
    flags = `bin/platform/activerecord --rubyopt #{version}`.strip
    # By RUBYOPT, for the processes that it starts in other networks.
    met = ENV.fetch("POOLKEEPER_DATABASE", "postgresql mariadb").split.map do |family|
      system({ "POOLKEEPER_DATABASE" => family, "RUBYOPT" => flags }, "ruby", "-Ilib", "bench/faults/run.rb",
             *ENV.fetch("BENCH", "").split(","))
    end
    abort "a target is missed" unless met.all?
  end
end
