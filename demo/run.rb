# frozen_string_literal: true

require_relative "batches"
require_relative "consumer_process"
require_relative "faults"
require_relative "live_line"
require_relative "orders"
require_relative "tally"
require_relative "trail_log"

module Demo
  # One consumer process from its start to its end, with both faults in the middle.
  class Run
    # Seconds after the last message until what is left is counted.
    AFTER = 5
    # Seconds between two draws of the line and looks at the table.
    LOOK = 0.2
    # Seconds for a fault that is under way when the messages end.
    FAULT = 3

    # @return [Faults]
    attr_reader :faults
    # @return [Batches]
    attr_reader :batches
    # @return [Tally]
    attr_reader :tally
    # @return [TrailLog]
    attr_reader :trail
    # @return [Hash] what {Tally} counted at the end
    attr_reader :rows, :leftovers
    # @return [Hash] the consumer's last word about its pools and partitions; its versions; poolkeeper's account
    attr_reader :status, :versions, :account
    # @return [Array(Integer, Integer)] incidents that poolkeeper told of: opened, closed
    attr_reader :incidents
    # @return [Float] seconds that the messages took
    attr_reader :seconds

    # @param cluster [Support::Servers::Cluster]
    # @param database [Module] {Postgresql} or {Mariadb}
    # @param mode [String] see {Consumer}
    # @param limit [Numeric] seconds for the messages
    # @param consumer [Proc] starts the process
    def initialize(cluster, database, mode, limit:, &consumer)
      @mode = mode
      @limit = limit
      @start_consumer = consumer
      @cluster = cluster
      @database = database
      @faults = Faults.new(cluster)
      @batches = Batches.new(@faults, database)
      @trail = TrailLog.new(@faults)
      @tally = Tally.new(cluster, database)
      @status = @versions = @account = {}
      @incidents = [0, 0]
      @written = 0
    end

    # @return [self]
    def call
      @cluster.primary.execute_file(@database::SCHEMA)
      @cluster.wait_for_replay
      @line = LiveLine.new
      @consumer = @start_consumer.call(@mode)
      work
      watch(AFTER, "5 s without messages")
      count
      # Without release it may wait for connections that nobody gives back.
      leave if poolkeeper?
      self
    ensure
      @consumer&.kill
      @line&.finish
    end

    # @return [Symbol] what became of the process: :died before its time, :killed after it, or :left as it should
    def end_of_consumer
      return :died unless @survived

      @consumer.left? ? :left : :killed
    end

    # @return [Boolean]
    def poolkeeper?
      @mode == "poolkeeper"
    end

    private

    def work
      began = Support.now
      deadline = began + @limit
      until over?(deadline)
        look
        @faults.advance(progress(began))
      end
      @faults.wait(FAULT)
      @seconds = Support.now - began
    end

    def over?(deadline)
      Support.now > deadline || @consumer.ended? || (@status[:done] && @faults.none?(&:under_way?))
    end

    # Without poolkeeper the orders may stand still, and the faults must come all the same.
    def progress(began)
      by_time = (Support.now - began) / @limit
      by_orders = @written.fdiv(Orders::COUNT)
      poolkeeper? ? by_orders : [by_orders, by_time].max
    end

    def watch(seconds, note)
      ends = Support.now + seconds
      look(note) until Support.now >= ends || @consumer.ended?
    end

    def look(note = nil)
      @consumer.events(LOOK).each { |event| take(event) }
      # The consumer tells of its pools more often than anybody wants to count rows.
      return if @looked && Support.now - @looked < LOOK

      @looked = Support.now
      @written = @tally.written || @written
      @line.show(written: @written, status: @status, failures: @batches.failures,
                 incidents: poolkeeper? ? @incidents : nil, note: note || @faults.present)
    end

    def take(event)
      case event[:event]
      when "status" then @status = event
      when "trailed", "untrailed" then @trail.note(event)
      when "versions" then @versions = event
      when "account" then @account = event.except(:event)
      when "incident" then @incidents[event[:change] == "opened" ? 0 : 1] += 1
      else @batches.note(event)
      end
    end

    def count
      @survived = !@consumer.ended?
      @leftovers = @tally.leftovers
      @rows = @tally.rows
      @trail.rows = @tally.trail
      @trail.sessions = @tally.trail_sessions
    end

    def leave
      @consumer.finish.each { |event| take(event) }
      @trail.sessions_left = @tally.trail_sessions
    end
  end
end
