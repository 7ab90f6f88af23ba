# frozen_string_literal: true

require "io/wait"
require "json"
require "rbconfig"
require_relative "wait"
require_relative "network"
require_relative "faults/catalogue"

module Support
  module Faults
    # A stage, as whoever asks for runs has it: a process in a network of its own with a primary and a standby.
    class Suite
      STAGE = File.expand_path("faults/stage.rb", __dir__)
      # Seconds for the servers to start, on a slow and loaded machine.
      START = 120

      # What came of one process under test: a line of figures, what is wrong, what it said, the figures.
      Told = Struct.new(:line, :wrong, :said, :figures, keyword_init: true)

      # @param family [Symbol, String]
      def initialize(family = ENV.fetch("POOLKEEPER_DATABASE", "postgresql"))
        command = Network.apart(RbConfig.ruby, STAGE)
        @io = IO.popen([{ "POOLKEEPER_DATABASE" => family.to_s }, *command], "r+")
        hear(START)
      end

      # @param fault [String] its name in the catalogue
      # @param subjects [Array<Hash>] each with kind, workers and manner; they meet it together
      # @param timeout [Numeric] seconds
      # @param options [Hash] seconds that it lasts
      # @return [Array<Told>]
      # @raise [RuntimeError] where the run could not be made
      def run(fault, subjects, seed: 1, timeout: 120, **options)
        @io.puts(JSON.generate({ fault: fault, subjects: subjects, seed: seed, options: options }))
        hear(timeout).fetch(:told).map { |told| Told.new(**told) }
      end

      # @return [void]
      def close
        # The end of its input is the end of it; of the servers too.
        @io.close
      end

      private

      def hear(timeout)
        line = @io.gets if @io.wait_readable(timeout)
        raise "the stage of the faults gives no answer" unless line

        JSON.parse(line, symbolize_names: true).tap { |answer| raise answer[:error] if answer[:error] }
      end
    end
  end
end
