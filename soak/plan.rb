# frozen_string_literal: true

module Soak
  # What happens once, or now and then, while everything else goes on.
  class Plan
    # Seconds of the long query, and for which the process is stopped; less where the whole is short.
    LONG = 60
    STOPPED = 5
    # Numbers of workers, in turn; each for so many seconds.
    SCALES = [8, 3, 12, 5].freeze
    SCALE_FOR = 15

    # @param seconds [Float] of the whole
    # @param consumers [Consumers]
    # @param work [Jobs]
    def initialize(seconds, consumers, work)
      @consumers = consumers
      @work = work
      @scaled = 0
      @once = [[seconds * 0.1, -> { query([LONG, seconds / 3].min) }],
               [seconds * 0.5, -> { stop([STOPPED, seconds / 10].min) }]]
    end

    # @return [Array<String>] what was done
    def done
      @done ||= []
    end

    # Does what is due.
    def call(elapsed)
      @once.shift.last.call while @once.any? && elapsed >= @once.first.first
      return if elapsed < @scaled * SCALE_FOR

      @consumers.scale(SCALES[@scaled % SCALES.size])
      @scaled += 1
    end

    private

    def query(seconds)
      done << "a query of #{seconds.round} s"
      @consumers.long { @work.long(seconds) }
    end

    # By somebody else, for one who is stopped cannot go on by himself.
    def stop(seconds)
      done << "stopped for #{seconds.round(1)} s"
      pid = Process.pid
      helper = Process.spawn("sh", "-c", "kill -STOP #{pid}; sleep #{seconds}; kill -CONT #{pid}", close_others: true)
      Process.wait(helper)
    end
  end
end
