# frozen_string_literal: true

require_relative "../../spec/support/karafka_worker"

module Bench
  # Jobs after a restart of the server, with connections that were used a moment before: ActiveRecord trusts those for
  # two seconds.
  class Restart
    WORKERS = 5
    JOBS = 6
    ROUNDS = 5
    # Seconds. A job that comes later proves nothing: ActiveRecord then looks for itself.
    TRUSTED = 1.8
    PEERS = %i[bare observed].freeze
    OPERATIONS = {
      "update_all" => ->(model, id) { model.where(id:).update_all("value = value + 1") },
      "execute" => lambda do |model, id|
        connection = model.respond_to?(:lease_connection) ? model.lease_connection : model.connection
        connection.execute("UPDATE items SET value = value + 1 WHERE id = #{id}")
      end
    }.freeze

    # @param node [Support::Postgres::Node]
    # @return [Array<Result>]
    def call(node)
      node.sql("CREATE TABLE items (id int PRIMARY KEY, value int NOT NULL DEFAULT 0)")
      node.sql("INSERT INTO items (id) VALUES #{(1..WORKERS).map { |id| "(#{id})" }.join(", ")}")
      OPERATIONS.keys.map do |operation|
        failed = PEERS.to_h { |peer| [peer, []] }
        ROUNDS.times { PEERS.each { |peer| failed[peer] << round(node, peer, operation) } }
        show(operation, failed)
        result(operation, failed)
      end
    end

    private

    # @return [Integer] failed jobs
    def round(node, peer, operation)
      3.times do
        failed, gap = Child.run(->(line) { live(line, peer, operation, node.config(pool: WORKERS)) }) do |child|
          # They have used their connections; now the server goes and comes back.
          child.hear
          node.restart
          child.ask(:go)
        end
        return failed if gap < TRUSTED
      end
      raise "the server took longer than #{TRUSTED} s to restart, three times in a row"
    end

    def live(line, peer, operation, config)
      monitor = Support::KarafkaMonitor.new
      ActiveRecord::Base.establish_connection(config)
      release_after_each_job(peer, monitor)
      errors = Queue.new
      monitor.subscribe("error.occurred") { |event| errors << event[:error] }
      model = Class.new(ActiveRecord::Base) { self.table_name = "items" }
      Support::KarafkaWorkers.open(monitor, concurrency: WORKERS) do |workers|
        batch(workers, model, operation)
        raise errors.pop unless errors.empty?

        used = Clock.now
        line.tell(:used)
        line.hear
        gap = Clock.now - used
        JOBS.times { batch(workers, model, operation) }
        line.tell([errors.size, gap])
      end
    end

    def release_after_each_job(peer, monitor)
      if peer == :observed
        require "poolkeeper"
        Poolkeeper.configure { |options| options.logger = nil }
        monitor.subscribe(Poolkeeper::KarafkaListener.new)
      else
        monitor.subscribe("worker.completed") { ActiveRecord::Base.connection_handler.clear_active_connections!(:all) }
      end
    end

    # One job for each worker, all begun before the first asks for a connection: so each takes one of its own.
    def batch(workers, model, operation)
      begun = Queue.new
      gate = Queue.new
      jobs = Array.new(WORKERS) do |index|
        workers.perform("orders", index) do
          begun << index
          gate.pop
          OPERATIONS.fetch(operation).call(model, index + 1)
        end
      end
      WORKERS.times { begun.pop }
      gate.close
      jobs.each { |job| job.join or raise "a job did not end" }
    end

    def show(operation, failed)
      puts format("  %<operation>-11s bare: %<bare>s failed of %<jobs>d each; with poolkeeper: %<observed>s",
                  operation:, bare: failed[:bare].join(", "), observed: failed[:observed].join(", "),
                  jobs: WORKERS * JOBS)
    end

    def result(operation, failed)
      bare, observed = failed.values_at(:bare, :observed)
      Result.new(what: "restart, #{WORKERS} workers x #{JOBS} jobs, `#{operation}`",
                 poolkeeper: "#{observed.max} failed (most of #{ROUNDS} restarts)",
                 beside: "released after each job: #{Clock.median(bare).round} failed (median)", target: "0 failed",
                 met: observed.max.zero?)
    end
  end
end
