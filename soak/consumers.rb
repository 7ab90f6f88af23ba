# frozen_string_literal: true

module Soak
  # Workers in Karafka's job life cycle, kept busy by this thread, which plays the listener's part.
  class Consumers
    # Jobs that are handed out and not done; more workers than a pool has connections, so that some wait.
    OUTSTANDING = 16
    WORKERS = 8
    # Jobs a second at most: a busy system, and a machine that can do something else as well.
    PACE = 250
    # Seconds for a job to be done.
    PATIENCE = 120

    # @return [Integer] jobs handed out
    attr_reader :jobs
    # @return [Array<Exception>] what jobs have failed with, but for what they fail with on purpose
    attr_reader :errors
    # @return [Integer] how often somebody was seen waiting for a connection
    attr_reader :waits

    # @param work [Jobs]
    def initialize(work)
      @work = work
      @jobs = @waits = 0
      @errors = []
      @outstanding = []
      @monitor = Support::KarafkaMonitor.new
      @monitor.subscribe(Poolkeeper::KarafkaListener.new)
      @monitor.subscribe("error.occurred") { |event| failed(event[:error]) }
      @workers = Support::KarafkaWorkers.new(@monitor)
      @workers.scale(WORKERS)
    end

    # Keeps them busy for so many seconds.
    #
    # @yieldparam elapsed [Float] seconds, many times a second
    def work(seconds)
      began = Support.now
      handed_out = 0
      while (elapsed = Support.now - began) < seconds
        yield elapsed if block_given?
        next sleep(0.002) if handed_out > elapsed * PACE

        hand_out
        handed_out += 1
        turn if (handed_out % 20).zero?
      end
    end

    # A job of its own, which nobody waits for before {#rest}.
    def long(&body)
      @long = @workers.perform("reports", 0) { body.call }
    end

    def scale(count)
      @workers.scale(count)
    end

    # Until every job is done and there are as many workers as in the beginning.
    def rest
      finish(@outstanding.shift) while @outstanding.any?
      finish(@long) if @long
      @long = nil
      scale(WORKERS)
      Support.wait_until(timeout: PATIENCE, message: "#{WORKERS} workers") { @workers.alive.size == WORKERS }
    end

    def close
      @workers.close
    end

    private

    def hand_out
      number = @jobs += 1
      @outstanding << @workers.perform("orders", number % 5) { @work.call(number) }
      finish(@outstanding.shift) if @outstanding.size > OUTSTANDING
    end

    def finish(job)
      job.join(PATIENCE) or raise "a job is not done after #{PATIENCE} s"
    end

    # What a listener thread sends with each of its turns.
    def turn
      details = { caller: self, client: self, subscription_group: self }
      @monitor.instrument("connection.listener.fetch_loop", details)
      @monitor.instrument("client.events_poll", details.slice(:caller, :subscription_group))
      @waits += Poolkeeper.stats.values.count { |pool| pool[:waiting].to_i.positive? }
    end

    def failed(error)
      @errors << error unless error.is_a?(Jobs::Own) || error.is_a?(ActiveRecord::RecordNotUnique)
    end
  end
end
