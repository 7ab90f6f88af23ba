# frozen_string_literal: true

module Support
  # poolkeeper's log lines, kept for the example.
  module Log
    # @return [StringIO] what is logged from now on
    def capture_log
      text = StringIO.new
      Poolkeeper.configure do |config|
        config.mode = :act
        config.watch = true
        # On a loaded machine a lease may become long of which nothing is to be known. Their own specs switch them on.
        config.host_monitor = false
        config.leak_threshold = nil
        config.logger = ::Logger.new(text)
      end
      text
    end

    def wait_until(...)
      Support.wait_until(...)
    end

    # @return [String] what was logged in this example
    def log_text
      @log.string
    end

    # Waits for a log line: they are written by the poolkeeper thread.
    def expect_log(pattern)
      wait_until(message: "no log line #{pattern.inspect} in #{log_text.inspect}") { log_text.match?(pattern) }
    end
  end
end
