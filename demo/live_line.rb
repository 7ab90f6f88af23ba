# frozen_string_literal: true

require "io/console"
require_relative "../spec/support/wait"

module Demo
  # The line that tells how it goes: redrawn on a terminal, elsewhere one line each second.
  class LiveLine
    FAULTS = { restart: "primary restarts", terminate: "standby ends its connections" }.freeze

    # @param output [IO]
    def initialize(output = $stdout)
      @output = output
      @terminal = output.tty?
      @begun = Support.now
      @drawn = 0
    end

    # @param written [Integer]
    # @param status [Hash] the consumer's last word on its pools
    # @param failures [Integer] batches so far
    # @param incidents [Array(Integer, Integer), nil] opened and closed; nil without poolkeeper
    # @param note [Symbol, String, nil]
    def show(written:, status:, failures:, incidents:, note:)
      return unless @terminal || Support.now - @drawn >= 1

      @drawn = Support.now
      leases = status.fetch(:leases, {}).map { |role, (busy, size)| "#{role} #{busy}/#{size}" }.join(" ")
      seconds = (Support.now - @begun).round(1).to_s
      words = ["#{seconds.rjust(5)} s  orders #{written.to_s.rjust(4)}", "leases #{leases}",
               "failed batches #{failures}", told(incidents), FAULTS.fetch(note, note)].compact.join("  ")
      # A line that wraps cannot be redrawn.
      @terminal ? @output.print("\r\e[K#{words[0, @output.winsize.last - 1]}") : @output.puts(words)
      @output.flush
    end

    # Leaves the last state of the line where it is.
    def finish
      @output.puts if @terminal && @drawn.positive?
    end

    private

    def told(incidents)
      incidents && "incidents #{incidents.first} opened #{incidents.last} closed"
    end
  end
end
