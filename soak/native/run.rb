# frozen_string_literal: true

# Minutes of a native pool whose threads are killed and whose server ends its sessions and restarts; started by
# `rake soak`, once for each family of servers.
require "logger"
require "tmpdir"
require "poolkeeper"
require_relative "../../spec/support/wait"
require_relative "../../spec/support/proc"
require_relative "../../spec/support/dialect"
require_relative "chaos"
require_relative "failures"
require_relative "figures"
require_relative "sql"
require_relative "workers"

module Soak
  # Whether a native pool comes out of it with nothing lost, nothing left and nothing grown.
  module Native
    # Fewer connections than threads: some wait.
    SIZE = 5
    SEED = 20_261_123
    # Seconds of the same before anything is measured, at least.
    WARM_UP = 10

    # @return [Boolean] whether every figure is as it must be
    def self.run(seconds, seed)
      Poolkeeper.config.logger = Logger.new($stderr, level: :fatal)
      sql = Sql.new
      cluster = Support::Dialect.current.start(**sql.settings)
      Dir.mktmpdir("poolkeeper-soak-") { |folder| over(cluster.primary, sql, folder, seconds, seed) }
    ensure
      cluster&.close
    end

    def self.over(node, sql, folder, seconds, seed)
      pool = Poolkeeper::Pool.new(sql.url(node), name: "soak", size: SIZE, checkout_timeout: 10)
      pool.with { |db| db.execute(Sql::TABLE) }
      failures = Failures.new(folder)
      workers = Workers.new(pool, sql, folder, failures, seed)
      chaos = Chaos.new(node, workers, failures, seed)
      figures = Figures.new(node, pool, workers, failures)
      chaos.call([seconds / 10, WARM_UP].max)
      figures.begin
      chaos.call(seconds)
      figures.end
      puts "#{figures}\n  seed #{seed} (SOAK_SEED)"
      figures.fine?
    ensure
      pool&.close
    end
    private_class_method :over
  end
end

if $PROGRAM_NAME == __FILE__
  seed = Integer(ENV.fetch("SOAK_SEED", Soak::Native::SEED))
  exit(Soak::Native.run(Float(ARGV.fetch(0)) * 60, seed))
end
