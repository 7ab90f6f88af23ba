# frozen_string_literal: true

require "timeout"
require_relative "journal"

module Support
  module Faults
    # Threads that do jobs one after the other, as Karafka's do, and one that interrupts them where that is asked for.
    class Workers
      # Seconds between two jobs, of a few workers: many are to ask for no more of the machine.
      PAUSE = 0.002..0.01
      FEW = 5
      # After one that failed: as long as a server takes to end its sessions one by one, of which the next job may be
      # given another. Karafka pauses for longer.
      BACK_OFF = 0.2
      # Between two interrupts.
      INTERRUPTS = 0.02..0.06
      # Seconds that an interrupted worker gives some of its jobs.
      LIMITS = 0.0005..0.02
      # The share of jobs that read.
      READS = 0.2
      # Seconds until workers that are told to rest do so: longer than anything may block.
      PATIENCE = 30

      # Each has used a connection of its own, to write and to read, when it is made.
      #
      # @param subject [Observed, Native]
      # @param folder [String] of the journals
      # @param numbers [Range<Integer>] of the workers
      # @param interrupted [Boolean]
      # @param long [Numeric, nil] seconds of a query that every job begins with
      def initialize(subject, folder, numbers, interrupted: false, long: nil)
        @long = long
        @subject = subject
        @interrupted = interrupted
        @pace = [numbers.size.fdiv(FEW), 1].max
        @resting = true
        @at_rest = {}
        @journals = numbers.to_h { |worker| [worker, Journal.new(folder, worker)] }
        warm = Queue.new
        @threads = numbers.to_h { |worker| [worker, thread(worker, warm)] }
        # All at once, so that none takes what another has given back.
        Support.wait_until(timeout: 20, message: "all workers are warm") { warm.num_waiting == @threads.size }
        warm.close
        Support.wait_until(message: "all workers are at rest") { stuck.zero? }
        # It makes its thread now, and not while somebody counts.
        Timeout.timeout(1) { nil }
      end

      # @return [void]
      def go
        @resting = false
        @interrupter = Thread.new { interrupt until @resting } if @interrupted
      end

      # @return [Integer] workers that do not come to rest
      def rest
        @resting = true
        @interrupter&.join
        Support.wait_until(timeout: PATIENCE) { stuck.zero? }
        0
      rescue DeadlineError
        stuck
      end

      private

      def warm_up(warm)
        @subject.warm_up
        warm.pop
        @subject.wait
      ensure
        @subject.release
      end

      def stuck
        @threads.count { |worker, thread| !@at_rest[worker] || !thread.alive? }
      end

      def thread(worker, warm = nil)
        random = Random.new(worker)
        Thread.new do
          Thread.current.report_on_exception = false
          warm_up(warm) if warm
          loop do
            sleep(0.005) while (@at_rest[worker] = @resting)
            work(worker, random)
            break if killed?
          end
        end
      end

      def work(worker, random)
        journal = @journals[worker]
        kind = random.rand < READS ? :read : :write
        number = journal.begin(kind)
        limit = random.rand(LIMITS) if @interrupted && random.rand < 0.3
        attempt(worker, number, kind, limit)
        sleep(random.rand(PAUSE) * @pace)
      end

      def attempt(worker, number, kind, limit)
        Thread.current[:connects] = nil
        Timeout.timeout(limit) do
          @subject.long(kind, @long) if @long
          kind == :read ? @subject.read(worker) : @subject.write(worker, number)
        end
        @journals[worker].end(number, :done)
      rescue StandardError => e
        ended(worker, number, e, limit)
      ensure
        begin
          released = @subject.release
        ensure
          # A kill that came before the release had set its mask, as in `Poolkeeper.wrap`.
          @subject.release unless released
        end
      end

      def ended(worker, number, error, limit)
        cut = (limit && (error.is_a?(Timeout::Error) || ends_nothing?(error))) || killed?
        @journals[worker].end(number, cut ? :interrupted : :failed, error)
        @subject.failed(error)
        sleep(BACK_OFF) unless cut
      end

      # A Timeout unwinds without an error of its own at first; where it came before ActiveRecord had begun to
      # instrument a transaction, the end of that one raises in its place.
      def ends_nothing?(error)
        place = error.backtrace_locations&.first
        !place.nil? && place.base_label == "finish" && place.path.end_with?("/abstract/transaction.rb")
      end

      # An error that an `ensure` raises takes the place of the kill, and the thread would live on, half dead: whatever
      # transaction ActiveRecord begins on it is rolled back without a word.
      def killed?
        Thread.current.status == "aborting"
      end

      # Kills one, wherever it is, and lets another take its place.
      def interrupt
        worker, thread = @threads.to_a.sample
        thread.kill
        if thread.join(PATIENCE)
          @journals[worker].abandon
          @threads[worker] = thread(worker)
        end
        sleep(rand(INTERRUPTS))
      end
    end
  end
end
