# frozen_string_literal: true

# Figures for the README. The library is built for release, whatever profile is set for tests.
desc "Measure poolkeeper beside its peers; fails where a target is missed (BENCH=lease,crowd: some rows)"
task :bench do
  ENV["POOLKEEPER_PROFILE"] = "release"
  Rake::Task[:compile].invoke
  flags = `bin/platform/activerecord --rubyopt #{ENV.fetch("POOLKEEPER_ACTIVERECORD", "7.2")}`.strip
  sh "ruby -Ilib #{flags} bench/run.rb #{ENV.fetch("BENCH", "").tr(",", " ")}", verbose: false
end
