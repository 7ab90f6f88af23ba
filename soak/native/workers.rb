# frozen_string_literal: true

require_relative "jobs"
require_relative "journal"

module Soak
  module Native
    # The threads that use the pool, and what they tell.
    class Workers
      COUNT = 8
      # Seconds for a thread that is told to end, or killed.
      PATIENCE = 30
      # Seconds between two jobs, at most; as long again after one that failed.
      PAUSE = 0.01

      # @return [Array<Journal>] by worker
      attr_reader :journals
      # @return [Integer] threads that were killed, and those that did not end by it
      attr_reader :killed, :stuck

      # @param pool [Poolkeeper::Pool]
      # @param sql [Sql]
      # @param folder [String]
      # @param failures [Failures]
      # @param seed [Integer]
      def initialize(pool, sql, folder, failures, seed)
        @failures = failures
        @seed = seed
        @journals = Array.new(COUNT) { |worker| Journal.new(folder, worker) }
        @jobs = @journals.each_with_index.map { |journal, worker| Jobs.new(pool, sql, worker, journal) }
        # By worker, so that each is counted by one thread.
        @done = Array.new(COUNT, 0)
        @limited = Array.new(COUNT, 0)
        @started = @killed = @stuck = 0
      end

      # @return [Integer] jobs that succeeded
      def done
        @done.sum
      end

      # @return [Integer] jobs that their Timeout has ended
      def limited
        @limited.sum
      end

      # @return [void]
      def start
        @over = false
        @threads = Array.new(COUNT) { |worker| thread(worker) }
      end

      # @return [void]
      def stop
        @over = true
        @stuck += @threads.reject { |thread| thread.join(PATIENCE) }.size
      end

      # Kills a thread, wherever it is, and lets another go on with its rows.
      #
      # @param random [Random]
      # @return [void]
      def kill(random)
        worker = random.rand(COUNT)
        @killed += 1
        @threads[worker].kill
        return @stuck += 1 unless @threads[worker].join(PATIENCE)

        @threads[worker] = thread(worker)
      end

      private

      def thread(worker)
        random = Random.new(@seed + (@started += 1))
        Thread.new { work(worker, random) until @over }
      end

      def work(worker, random)
        kind = Jobs::KINDS[random.rand(Jobs::KINDS.size)]
        begun = Support.now
        begin
          @jobs[worker].call(kind, random)
          @done[worker] += 1
          @failures.succeeded(begun)
        rescue StandardError => e
          failed(worker, kind, begun, e)
          sleep(PAUSE)
        end
        sleep(random.rand(PAUSE))
      end

      def failed(worker, kind, begun, error)
        if error.is_a?(Timeout::Error) && Jobs::LIMITED.include?(kind)
          @limited[worker] += 1
        else
          @failures.note(kind, begun, error)
        end
      end
    end
  end
end
