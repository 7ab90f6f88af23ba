# frozen_string_literal: true

require "json"
require_relative "../spec/support/wait"
require_relative "trail"

module Demo
  # Tells the demo, from within the consumer process, what becomes of each batch: a listener on Karafka's monitor that
  # takes no part in the work. Times are those of a clock that both processes share.
  class Reporter
    # How much of an error is told.
    LINKS = 5
    TEXT = 300

    # @param io [IO] one JSON object a line
    def initialize(io)
      @io = io
      @io.sync = true
      @lock = Mutex.new
      # By consumer; each key is written by one worker at a time.
      @begun = {}
    end

    def on_consumer_consume(event)
      @lock.synchronize { @begun[event[:caller]] = Support.now }
    end

    def on_consumer_consumed(event)
      consumer = event[:caller]
      tell("succeeded", batch: Trail.batch(consumer), **times(consumer))
    end

    def on_error_occurred(event)
      error = event[:error]
      warn("#{event[:type]}: #{error.class}: #{error.message.lines.first}")
      tell("failed", type: event[:type], links: links(error), **times(event[:caller]))
    end

    # @param name [String]
    # @param details [Hash]
    def tell(name, **details)
      line = JSON.generate(event: name, **details)
      @lock.synchronize { @io.puts(line) }
    rescue Errno::EPIPE
      # The demo is gone, and with it standard input: the process is about to end.
      nil
    end

    private

    def times(consumer)
      now = Support.now
      { begun: @lock.synchronize { @begun[consumer] } || now, at: now }
    end

    # ActiveRecord's error has the driver's as its cause.
    def links(error)
      chain = []
      while error && chain.size < LINKS
        chain << { class: error.class.name, text: error.message.to_s.scrub[0, TEXT] }
        error = error.cause
      end
      chain
    end
  end
end
