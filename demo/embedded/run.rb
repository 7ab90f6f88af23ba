# frozen_string_literal: true

require_relative "../batches"
require_relative "../consumer_process"
require_relative "../live_line"
require_relative "../trail_log"
require_relative "tally"

module Demo
  module Embedded
    # One consumer process without a server, from its start to its end, looked at from this one.
    class Run
      # Seconds for the messages, far more than they need.
      LIMIT = 40
      # Seconds after the last message until what is left is counted.
      AFTER = 1
      LOOK = 0.2
      # What ends the batch that is cut off.
      CUT_OFF = "Timeout::Error"

      # @return [Array<Hash>] batches that succeeded, and that failed
      attr_reader :succeeded, :failed
      # @return [Hash] the consumer's last word about its pools; its versions; poolkeeper's account
      attr_reader :status, :versions, :account
      # @return [TrailLog]
      attr_reader :trail
      # @return [Hash{Symbol => Object}] what was counted at the end, from outside
      attr_reader :counted
      # @return [Array<String>, nil] drivers that the consumer had loaded when it ended; nil if it did not say
      attr_reader :drivers
      # @return [Float] seconds that the messages took
      attr_reader :seconds

      # @param file [String] the database's
      # @param consumer [Proc] starts the process
      def initialize(file, &consumer)
        @start_consumer = consumer
        @tally = Tally.new(file)
        @trail = TrailLog.new([])
        @succeeded = []
        @failed = []
        @status = @versions = @account = {}
      end

      # @return [self]
      # @raise [Support::DeadlineError] where the consumer did not get as far as its tables
      def call
        @line = LiveLine.new
        @consumer = @start_consumer.call
        began = Support.now
        look until over?(began + LIMIT)
        raise Support::DeadlineError, "the consumer did not start; its log says why" if @versions.empty?

        @seconds = Support.now - began
        ends = Support.now + AFTER
        look("#{AFTER} s without messages") until Support.now > ends || @consumer.ended?
        count
        self
      ensure
        @consumer&.kill
        @line&.finish
        @tally.close
      end

      # @return [Boolean] whether the consumer ended when it was told to, and not before
      def left?
        @survived && @consumer.left?
      end

      private

      def over?(deadline)
        Support.now > deadline || @consumer.ended? || @status[:done]
      end

      def look(note = nil)
        @consumer.events(LOOK).each { |event| take(event) }
        # The file is there, and the tables in it.
        return if @versions.empty? || (@looked && Support.now - @looked < LOOK)

        @looked = Support.now
        @line.show(written: @tally.written, status: @status, failures: @failed.size, incidents: nil, note:)
      end

      def take(event)
        case event[:event]
        when "status" then @status = event
        when "versions" then @versions = event
        when "account" then @account = event.except(:event)
        when "drivers" then @drivers = event[:loaded]
        when "trailed", "untrailed" then @trail.note(event)
        when "succeeded" then @succeeded << event
        when "failed" then @failed << event
        end
      end

      def count
        @survived = !@consumer.ended?
        @trail.rows = @tally.trail
        @counted = { rows: @tally.rows, descriptors: @tally.descriptors(@consumer.pid),
                     writable: @tally.writable?, sqlite3: @tally.by_sqlite3 }
        @consumer.finish.each { |event| take(event) }
        @counted[:whole] = @tally.whole?
      end
    end
  end
end
