# frozen_string_literal: true

module Soak
  # Lines of a table, each with what is wanted, and what the kernel says of this process.
  class Account
    # By how much memory may have grown.
    MEMORY = 5 * 1024 * 1024

    def initialize
      @lines = []
    end

    # @return [Boolean] whether every figure is as it must be
    def fine?
      @lines.all?(&:first)
    end

    private

    def table(title)
      told = @lines.map do |fine, what, value|
        format("  %<what>-46s %<value>-30s %<fine>s", what:, value:, fine: fine ? "ok" : "FAILED")
      end
      [title, *told].join("\n")
    end

    def same(what, value, wanted, note = nil)
      @lines << [value == wanted, what, "#{value}, wanted #{wanted} #{note}"]
    end

    def most(what, value, limit)
      @lines << [value <= limit, what, "#{value}, at most #{limit}"]
    end

    def in_the_process(before, after)
      %i[descriptors threads].each { |what| most(what.to_s, after[what], before[what]) }
      most("memory grown, in kB", (after[:memory] - before[:memory]) / 1024, MEMORY / 1024)
    end

    # Ruby keeps the threads of workers that have left for a few seconds.
    def settled(before)
      Support.wait_until(timeout: 20, message: "as many threads as before") { process[:threads] <= before[:threads] }
      process
    rescue Support::DeadlineError
      process
    end

    def process
      3.times { GC.start }
      { descriptors: Support::Proc.fds.size, threads: Support::Proc.threads.size, memory: Support::Proc.rss }
    end
  end
end
