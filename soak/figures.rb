# frozen_string_literal: true

module Soak
  # What is read at the start and at the end, from outside wherever that can be told there.
  class Figures
    HARM = %i[discarded evicted dropped leaked expired mirror_misses].freeze
    MEMORY = 5 * 1024 * 1024

    def initialize(database, load)
      @database = database
      @load = load
      @lines = []
    end

    def begin
      @before = process
      @backends = backends
      @done = @load.done
    end

    def end
      HARM.each { |counter| same(counter.to_s, sum(counter), 0) }
      at_the_servers
      in_the_process(settled)
    end

    def fine?
      @lines.all?(&:first)
    end

    def to_s
      versions = "#{Support::Dialect.family}, ActiveRecord #{::ActiveRecord.version}, Ruby #{RUBY_VERSION}"
      told = @lines.map do |fine, what, value|
        format("  %<what>-46s %<value>-30s %<fine>s", what:, value:, fine: fine ? "ok" : "FAILED")
      end
      ["#{versions}: #{@load.done - @done} jobs, #{sum(:released)} connections released", *told].join("\n")
    end

    private

    def at_the_servers
      same("rows, counted by another client", @database.rows, @load.rows)
      same("jobs that failed", @load.errors.size, 0, @load.errors.map(&:message).uniq.first(3).join("; "))
      same("connections replaced, by the servers' numbers", (@backends - backends).size, 0)
      same("connections left in use", @database.pools.sum { |pool| pool.stat[:busy] }, 0)
      same("connections idle in a transaction", @database.idle_in_transaction, 0)
    end

    def in_the_process(after)
      %i[descriptors threads].each { |what| most(what.to_s, after[what], @before[what]) }
      most("memory grown, in kB", (after[:memory] - @before[:memory]) / 1024, MEMORY / 1024)
    end

    def same(what, value, wanted, note = nil)
      @lines << [value == wanted, what, "#{value}, wanted #{wanted} #{note}"]
    end

    def most(what, value, limit)
      @lines << [value <= limit, what, "#{value}, at most #{limit}"]
    end

    def sum(counter)
      Poolkeeper.stats.values.sum { |pool| pool.fetch(counter) }
    end

    def backends
      [@database.primary, @database.standby].flat_map { |node| node.backends.map { |one| [node.port, one.pid] } }
    end

    # Ruby keeps the threads of workers that have left for a few seconds.
    def settled
      Support.wait_until(timeout: 20, message: "as many threads as before") { process[:threads] <= @before[:threads] }
      process
    rescue StandardError
      process
    end

    def process
      3.times { GC.start }
      { descriptors: Support::Proc.fds.size, threads: Support::Proc.threads.size, memory: Support::Proc.rss }
    end
  end
end
