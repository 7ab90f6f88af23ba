# frozen_string_literal: true

# ActiveRecord 6.1 and 7.0 use Logger without asking for it.
require "logger"
require "stringio"
require "timeout"

# pg calls its method `socket` deprecated in favour of one that can name a descriptor which is somebody else's by now.
ENV["PG_SKIP_DEPRECATION_WARNING"] = "16"

# A warning of our own files fails the run.
module OwnWarnings
  ROOT = File.expand_path("..", __dir__)
  # mysql2 0.5.3, of Debian 12, makes its errors' texts with it, and Ruby names the line that called mysql2.
  OF_MYSQL2 = "rb_tainted_str_new_cstr"
  # ActiveRecord 6.1 on the pg of Debian 13, hundreds of times.
  OF_ACTIVE_RECORD = "PG::Coder.new(hash) is deprecated"

  def warn(message, *, **)
    return if message.include?(OF_MYSQL2) || message.include?(OF_ACTIVE_RECORD)
    raise "a warning of our own: #{message}" if message.start_with?("#{ROOT}/lib", "#{ROOT}/spec")

    super
  end
end
Warning.singleton_class.prepend(OwnWarnings)

$LOAD_PATH.unshift(File.expand_path("../lib", __dir__))
# Mechanisms in Rust can be switched off in the library with panics only.
if ENV["POOLKEEPER_OFF"].to_s.include?("native_")
  require_relative "support/trip"
  $LOAD_PATH.unshift(Support::Trip.folder)
end
require "poolkeeper"
require_relative "support/wait"
require_relative "support/proc"
require_relative "support/postgres"
require_relative "support/dialect"
require_relative "support/database"
require_relative "support/scripts"
require_relative "support/log"
require_relative "support/forks"
require_relative "support/native_pools"

RSpec.configure do |config|
  config.expect_with(:rspec) { |expectations| expectations.syntax = :expect }
  config.disable_monkey_patching!
  config.filter_run_when_matching(:focus) unless ENV["CI"]
  # What concerns no database is run once, with the first family.
  config.filter_run_including(database: true, faults: true) unless Support::Dialect.family == :postgresql
  # ... and what concerns no ActiveRecord either, with the last version.
  config.filter_run_excluding(:once) if ENV["POOLKEEPER_ACTIVERECORD"] == "6.1"
  config.filter_run_excluding(only: ->(family) { family != Support::Dialect.family })
  config.include Support
  config.include Support::Log
  config.include Support::Database, :database
  config.include Support::Scripts, :scripts
  config.include Support::Forks, :forks
  config.include Support::NativePools, :native
  config.after(:each, :native) { close_pools }

  # Whatever hangs fails by itself, with the place where it hung.
  config.around { |example| Timeout.timeout(60) { example.run } }
  config.before { @log = capture_log }
  config.around(:each, :database) do |example|
    connect
    example.run
  ensure
    disconnect
  end
  config.after(:suite) do
    Support::Database.close
    Support::NativePools.close
  end
end

require_relative "proof/switches" if ENV["POOLKEEPER_OFF"]
