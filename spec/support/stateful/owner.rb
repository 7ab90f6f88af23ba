# frozen_string_literal: true

module Support
  module Stateful
    # A thread that owns connections and does what it is told, one piece of work at a time.
    class Owner
      # @return [Integer] its place among the owners: whoever dies is replaced
      attr_reader :number
      # @return [Thread]
      attr_reader :thread
      # @return [Hash{Object => Integer}] connections taken with `checkout`, and in which era
      attr_reader :taken
      # @return [Integer] the number of its present piece of work: what it took with `checkout` in an earlier one stays
      attr_reader :era
      # @return [Symbol] what it did last of taking, using and releasing; written by its thread
      attr_accessor :phase

      def initialize(number)
        @number = number
        @taken = {}.compare_by_identity
        @era = 0
        @questions = Queue.new
        @answers = Queue.new
        @thread = Thread.new { live }
        @thread.name = "owner #{number}"
        @thread.report_on_exception = false
        # An interrupt that came before it has begun would end it.
        @answers.pop
      end

      # @return [Object] the block's value, worked out on this owner's thread
      # @raise whatever the block raises
      def perform(&work)
        start(&work)
        finish
      end

      # Lets it begin, and does not wait.
      def start(&work)
        @questions << work
      end

      # @return [Object] the value of the work that was started; :ended where its thread died of it
      def finish
        kind, value = @answers.pop
        raise value if kind == :error

        value
      end

      def interrupt(error)
        thread.raise(error)
      end

      # What was raised in it from outside must not wait for its next work.
      def calm
        perform { Thread.pass }
      rescue Interruption
        nil
      end

      def begin_work
        @era += 1
      end

      # What has gone back may be taken again, in another piece of work.
      def forget_returned
        taken.select! { |adapter, _| adapter.owner.equal?(thread) }
      end

      def leave
        @questions << nil
        thread.join
        forget
      end

      def kill
        thread.kill.join
        forget
      end

      private

      # Pools remember dead threads for a while, and a thread its owner: one is not to keep all those before it alive.
      def forget
        @taken.clear
      end

      # An interruption reaches its work, and nothing but its work.
      def live
        Thread.handle_interrupt(Interruption => :never) do
          @answers << :ready
          while (work = @questions.pop)
            @answers << answer(work)
          end
        end
      ensure
        @answers << %i[value ended]
      end

      def answer(work)
        [:value, Thread.handle_interrupt(Interruption => :immediate, &work)]
      rescue Exception => e # rubocop:disable Lint/RescueException -- told to whoever asked
        [:error, e]
      end
    end
  end
end
