# frozen_string_literal: true

module Soak
  # Warms up, looks, works, and looks again.
  class Soak
    include Support::Database

    # The share of the time in which everything is loaded and grown that will be.
    WARM_UP = 0.1

    # @param seconds [Float]
    def initialize(seconds)
      @seconds = seconds
      @log = Log.new
      @incidents = []
    end

    # @return [Report]
    def call
      prepare
      work = Jobs.new
      consumers = Consumers.new(work)
      consumers.work(@seconds * WARM_UP)
      consumers.rest
      before = State.new
      plan = Plan.new(@seconds * (1 - WARM_UP), consumers, work)
      consumers.work(@seconds * (1 - WARM_UP)) { |elapsed| plan.call(elapsed) }
      consumers.rest
      report(before, State.new, consumers, plan, work)
    ensure
      consumers&.close
    end

    private

    def prepare
      Support::Async.prepare
      # ActiveRecord's own reaper takes no connection for having been idle.
      connect(idle_timeout: 0)
      Poolkeeper.configure { |config| config.logger = @log }
      Poolkeeper.events.subscribe("incident.opened") { |event| @incidents << event }
      Support::Models::Item.create!(id: 1, n: 1)
      Poolkeeper.release
    end

    def report(before, after, consumers, plan, work)
      report = Report.new(title(plan))
      load(report, consumers)
      report.same("rows, by another client", rows, work.rows + 1)
      report.same("server processes that were replaced", (before.sessions - after.sessions).size, 0)
      harm(report)
      resources(report, before.figures, after.figures)
      warn(*consumers.errors.uniq(&:message).first(5).map(&:full_message), *@log.lines.first(10)) unless report.clean?
      report
    end

    def load(report, consumers)
      report.line("jobs", consumers.jobs, "some", consumers.jobs.positive?)
      report.line("a connection was waited for", consumers.waits, "some", consumers.waits.positive?)
      report.same("jobs that failed by no fault of their own", consumers.errors.size, 0)
    end

    def harm(report)
      Figures.harm.each { |name, count| report.same(name, count, 0) }
      report.same("leases left", Figures.leases, 0)
      report.same("incidents", @incidents.size, 0)
      report.same("log lines", @log.lines.size, 0)
    end

    def resources(report, before, after)
      { connections: "connections in the mirror", descriptors: "descriptors", threads: "threads of Ruby's",
        native: "threads of the kernel's" }.each { |name, words| report.same(words, after[name], before[name]) }
      grown = after.memory - before.memory
      report.line("memory", megabytes(after.memory), "5 MB more than #{megabytes(before.memory)} at most",
                  grown <= Support::Resources::MEMORY)
    end

    def megabytes(bytes)
      "#{(bytes / 1024.0 / 1024.0).round(1)} MB"
    end

    def title(plan)
      "#{(@seconds / 60).round(1)} minutes of healthy load: ActiveRecord #{ActiveRecord.version}, " \
        "#{ActiveRecord::Base.connection_db_config.adapter}; #{plan.done.join(", ")}"
    end
  end
end
