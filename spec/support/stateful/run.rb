# frozen_string_literal: true

require_relative "../log"

module Support
  module Stateful
    # One run: so many steps with one seed, then everything is put away and counted.
    class Run
      OPERATIONS = [Operations::Leases, Operations::Transactions, Operations::Pinning, Operations::Pools,
                    Operations::Faults, Operations::Interrupts, Operations::Process].flat_map(&:operations).freeze
      # After this share of the steps, and so many at least, everything has been loaded and grown that will be.
      WARM_UP = 0.2
      LEAST_WARM_UP = 200
      # Ruby's heap grows with the garbage of so many steps, and keeps its size: a leak could not be told from that.
      GARBAGE = 500

      # @param seed [Integer]
      # @param steps [Integer]
      def initialize(seed, steps)
        @seed = seed
        @steps = steps
        @history = History.new
        @messages = Messages.new
        Poolkeeper.configure { |config| config.logger = @messages }
        @began = Support.now
        # From 3.2 on Ruby has a thread for this, from its first use on.
        Timeout.timeout(1) { nil }
      end

      # @raise [Violation] with all that it takes to play it again
      def call
        Async.prepare
        @world = World.new
        @operations = OPERATIONS.select { |operation| operation.there?(@world) }
        @tally = Tally.new(@operations)
        @check = Check.new(@world, @messages)
        @watchdog = Watchdog.new { place }
        warm_up = (@steps * WARM_UP).floor.clamp(LEAST_WARM_UP, nil)
        apart { walk(1..warm_up) }
        before = rest
        @world.populate
        apart { walk(warm_up + 1..@steps) }
        finish(before)
      rescue StandardError => e
        raise Violation, ["#{e.class}: #{e.message}", *@messages.take, place, *Array(e.backtrace).first(15)].join("\n")
      end

      private

      # On a thread that ends: ActiveRecord leaves dead connections that it reaps to the collector, which takes no
      # object that a stack may still refer to.
      def apart(&block)
        Thread.new(&block).tap { |thread| thread.report_on_exception = false }.value
      end

      def walk(steps)
        steps.each do |step|
          @step = step
          @watchdog.feed
          take(step)
          GC.start if (step % GARBAGE).zero?
        end
      end

      def take(step)
        draw = Draw.new(@seed, step)
        candidates = @operations.dup
        until candidates.empty?
          operation = draw.weighted(candidates)
          turn = Turn.new(@world, draw)
          ending = catch(:impossible) { attempt(operation, turn) }
          return if ending

          candidates.delete(operation)
        end
      end

      # @return [Symbol] how it ended
      def attempt(operation, turn)
        began = Support.now
        ending = operation.call(turn)
        took = Support.now - began
        @check.call(operation, turn)
        @tally.add(operation, ending, took)
        ending
      ensure
        remember(operation, turn, ending) if ending || $ERROR_INFO
      end

      def remember(operation, turn, ending)
        @history.add("#{@step} #{operation.name} (#{turn.notes.join(", ")}) #{ending || "FAILED"}")
      end

      # Nobody holds anything, and nothing is kept.
      def rest
        apart { @world.clear }
        Async.wait if Async.there?
        GC.compact if GC.respond_to?(:compact)
        Resources.still
      end

      def finish(before)
        rest
        after = Resources.settle(before)
        @world.written.check
        @tally.check(@steps)
        report(before, after)
      end

      def report(before, after)
        puts "seed #{@seed}, #{@steps} steps, ActiveRecord #{ActiveRecord.version}, " \
             "#{(Support.now - @began).round} s", @tally.to_s(@steps), "counted: #{@check.totals}",
             "at the start: #{before}", "at the end:   #{after}"
      end

      def place
        "seed #{@seed}, step #{@step} of #{@steps}, ActiveRecord #{ActiveRecord.version}\nthe last of them:\n" \
          "#{@history}\nagain: rake properties SEED=#{@seed} STEPS=#{@step}"
      end
    end
  end
end
