# frozen_string_literal: true

require_relative "../account"
require_relative "jobs"

module Soak
  module Native
    # What is read at the start and at the end, with no thread at work and no connection open; the rows at last.
    class Figures < Account
      # Seconds from the server's return to the first job that succeeds: its prober tries once a second at least.
      RECOVERY = 3

      # @param node [Support::Servers::Node]
      # @param pool [Poolkeeper::Pool]
      # @param workers [Workers]
      # @param failures [Failures]
      def initialize(node, pool, workers, failures)
        @node = node
        @pool = pool
        @workers = workers
        @failures = failures
        super()
      end

      def begin
        empty
        @before = process
        @began = Support.now
        @counts = counts
      end

      # Rows and failures come last: reading them takes memory.
      def end
        at_the_server
        empty
        same("sessions once the pool is emptied", @node.backends.size, 0)
        in_the_process(@before, settled(@before))
        rows
        explained
      end

      def to_s
        counts = self.counts.zip(@counts).map { |after, before| after - before }
        sessions, restarts = %i[session restart].map { |name| @failures.harms(name, @began).size }
        table(format("%s, native pool of %d, Ruby %s: %d jobs done by %d threads; %d ended by their Timeout, %d " \
                     "threads killed, %d sessions ended, %d restarts", Support::Dialect.family, @pool.stats[:size],
                     RUBY_VERSION, counts[0], Workers::COUNT, *counts[1..], sessions, restarts))
      end

      private

      def counts
        [@workers.done, @workers.limited, @workers.killed]
      end

      # Idle connections are closed; what is being cleaned goes when it is clean.
      def empty
        Support.wait_until(timeout: 10, message: -> { @pool.stats.to_s }) do
          @pool.reload
          @pool.stats.values_at(:idle, :leased, :opening, :away, :waiting).sum.zero? && @node.backends.empty?
        end
      rescue Support::DeadlineError => e
        warn("the pool could not be emptied: #{e.message}")
      end

      def at_the_server
        settle
        sessions = @node.backends
        most("sessions on the server", sessions.size, @pool.stats[:size])
        queries = busy(sessions).map(&:query).uniq.join("; ")
        same("sessions in a transaction, or at work", busy(sessions).size, 0, queries)
        same("leased, waiting or being cleaned", @pool.stats.values_at(:leased, :waiting, :away).sum, 0)
        same("threads that did not end", @workers.stuck, 0)
      end

      # What the last jobs left open is rolled back within a second, or its connection is dropped.
      def settle
        Support.wait_until { @pool.stats[:away].zero? && busy(@node.backends).empty? }
      rescue Support::DeadlineError
        nil
      end

      def busy(sessions)
        sessions.reject { |session| session.state == "idle" }
      end

      # As another client counts them, worker by worker.
      def rows
        known = Hash.new(0)
        wrong = Hash.new(0)
        @workers.journals.each_with_index do |journal, worker|
          written = @node.sql("SELECT number FROM numbers WHERE worker = #{worker}").flatten.map(&:to_i).tally
          judge(journal.letters, written, known, wrong)
        end
        same("rows confirmed, and not there once", wrong[Journal::DONE], 0, "of #{known[Journal::DONE]}")
        same("rows of a failed write that are there twice", wrong[Journal::OPEN], 0, "of #{known[Journal::OPEN]}")
        same("rows never committed that are there", wrong[Journal::VOID], 0, "of #{known[Journal::VOID]}")
        same("rows that nobody wrote", wrong[:nobody], 0)
      end

      def judge(letters, written, known, wrong)
        letters.each_char.with_index do |letter, number|
          count = written.delete(number) || 0
          known[letter] += 1
          fine = { Journal::DONE => count == 1, Journal::OPEN => count <= 1 }.fetch(letter, count.zero?)
          wrong[letter] += 1 unless fine
        end
        wrong[:nobody] += written.size
      end

      def explained
        failures = @failures.since(@began)
        by = failures.group_by { |failure| @failures.explanation(failure) }
        by.default = []
        restarts = @failures.harms(:restart, @began)
        most("jobs cut by a restart", by[:restart].size, restarts.size * @pool.stats[:size])
        most("jobs cut by a session's end", by[:session].size, @failures.harms(:session, @began).size)
        @lines << [true, "jobs that met a server that was away", "#{by[:away].size} failed"]
        same("jobs that failed of anything else", by[nil].size, 0, examples(by[nil]))
        most("seconds from a restart to the first success", recovery(restarts), RECOVERY)
      end

      def examples(failures)
        failures.first(3).map { |failure| failure.slice(:kind, :error, :text, :begun, :at) }.join("; ")
      end

      def recovery(restarts)
        restarts.map { |harm| ((harm.recovered || Float::INFINITY) - harm.ended).round(2) }.max || 0
      end
    end
  end
end
