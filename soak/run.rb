# frozen_string_literal: true

# Minutes of healthy load in one process; started by `rake soak`, once for each family of servers.
require "active_record"
require "logger"
require "poolkeeper"
require_relative "../spec/support/wait"
require_relative "../spec/support/proc"
require_relative "../spec/support/postgres"
require_relative "../spec/support/dialect"
require_relative "../spec/support/database"
require_relative "../spec/support/karafka_worker"
require_relative "figures"
require_relative "jobs"
require_relative "load"

# Whether a system that nobody harms is left alone.
module Soak
  extend Support
  extend Support::Database

  # @return [Boolean] whether every figure is as it must be
  def self.run(seconds)
    Poolkeeper.config.logger = Logger.new($stderr, level: :error)
    # ActiveRecord itself closes nothing for being idle, so each connection of the start has to be there at the end.
    connect(idle_timeout: 0)
    load = Load.new(self)
    pools.each { |pool| warm_up(pool: pool) }
    figures = Figures.new(self, load)
    load.call(seconds / 10)
    figures.begin
    load.call(seconds, disturbed: true)
    figures.end
    puts figures
    figures.fine?
  ensure
    disconnect
    Support::Database.close
  end
end

exit(Soak.run(Float(ARGV.fetch(0)) * 60)) if $PROGRAM_NAME == __FILE__
