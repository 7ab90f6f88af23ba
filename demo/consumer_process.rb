# frozen_string_literal: true

require "json"
require "rbconfig"
require_relative "../spec/support/wait"

module Demo
  # The consumer as a process of its own, seen from the demo: started, listened to, and ended however it behaves.
  class ConsumerProcess
    # The consumer on servers.
    FILE = File.expand_path("consumer.rb", __dir__)
    # Seconds to leave in order, before it is killed.
    PATIENCE = 8

    # @param arguments [Array<String>] see the script
    # @param log [String] takes its standard error
    # @param environment [Hash{String => String}] which ActiveRecord and which gems
    # @param script [String]
    def initialize(arguments, log:, environment:, script: FILE)
      @buffer = +""
      input, @input = IO.pipe
      @output, output = IO.pipe
      # A process group of its own: Ctrl-C is for the demo, which then ends its consumer.
      @pid = Process.spawn(environment, RbConfig.ruby, script, *arguments,
                           3 => output, in: input, out: [log, "a"], err: %i[child out],
                           close_others: true, pgroup: true)
    ensure
      [input, output].each { |io| io&.close }
    end

    # @param timeout [Numeric] seconds to wait for the first of them
    # @return [Array<Hash>] what the consumer has told since the last call
    def events(timeout)
      return [] if ended?

      @buffer << @output.read_nonblock(1 << 20) if @output.wait_readable(timeout)
      lines = @buffer.lines
      @buffer = lines.last&.end_with?("\n") ? +"" : +lines.pop.to_s
      lines.map { |line| JSON.parse(line, symbolize_names: true) }
    rescue EOFError
      @ended = true
      []
    end

    # @return [Integer, nil] until it has ended
    attr_reader :pid

    # @return [Boolean] whether it has ended without being told to
    def ended?
      @ended || false
    end

    # Lets it end its jobs and leave, or kills it.
    #
    # @return [Array<Hash>] the last that it told
    def finish
      @input.close
      last = []
      deadline = Support.now + PATIENCE
      last.concat(events(0.1)) until ended? || Support.now > deadline
      @left = Support.wait_until(timeout: [deadline - Support.now, 0].max) { leave }
      last
    rescue Support::DeadlineError
      last
    ensure
      kill
    end

    # @return [Boolean] whether it ended by itself and well when it was told to
    def left?
      @left || false
    end

    # @return [void]
    def kill
      return unless @pid

      Process.kill(:KILL, @pid)
      Process.wait(@pid)
      @pid = nil
      [@input, @output].each(&:close)
    end

    private

    # @return [Boolean, nil] nil while it runs
    def leave
      _, status = Process.wait2(@pid, Process::WNOHANG)
      return unless status

      @pid = nil
      status.success? || raise(Support::DeadlineError, "the consumer ended with #{status}")
    end
  end
end
