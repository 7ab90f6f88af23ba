# frozen_string_literal: true

require_relative "account"

module Soak
  # What is read at the start and at the end, from outside wherever that can be told there.
  class Figures < Account
    HARM = %i[discarded evicted dropped leaked expired mirror_misses].freeze

    def initialize(database, load)
      @database = database
      @load = load
      super()
    end

    def begin
      @before = process
      @backends = backends
      @done = @load.done
    end

    def end
      HARM.each { |counter| same(counter.to_s, sum(counter), 0) }
      at_the_servers
      in_the_process(@before, settled(@before))
    end

    def to_s
      versions = "#{Support::Dialect.family}, ActiveRecord #{::ActiveRecord.version}, Ruby #{RUBY_VERSION}"
      table("#{versions}: #{@load.done - @done} jobs, #{sum(:released)} connections released")
    end

    private

    def at_the_servers
      same("rows, counted by another client", @database.rows, @load.rows)
      same("jobs that failed", @load.errors.size, 0, @load.errors.map(&:message).uniq.first(3).join("; "))
      same("connections replaced, by the servers' numbers", (@backends - backends).size, 0)
      same("connections left in use", @database.pools.sum { |pool| pool.stat[:busy] }, 0)
      same("connections idle in a transaction", @database.idle_in_transaction, 0)
    end

    def sum(counter)
      Poolkeeper.stats.values.sum { |pool| pool.fetch(counter) }
    end

    def backends
      [@database.primary, @database.standby].flat_map { |node| node.backends.map { |one| [node.port, one.pid] } }
    end
  end
end
