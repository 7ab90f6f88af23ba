# frozen_string_literal: true

require "json"

module Support
  module Faults
    # What one worker knows of its jobs, line by line in a file, so that no end of its thread loses it: when each began,
    # and what came of it.
    class Journal
      # One job. `kind` is :write or :read; `outcome` is :done, :failed, :interrupted or nil while it has not ended;
      # `connects` tells whether ActiveRecord has connected in it, or tried to.
      Job = Struct.new(:worker, :number, :kind, :began, :ended, :outcome, :error, :connects) do
        # @return [Float] seconds
        def seconds(now = Support.now)
          (ended || now) - began
        end
      end

      KINDS = %w[write read].freeze
      private_constant :KINDS

      # @param folder [String]
      # @param worker [Integer]
      def initialize(folder, worker)
        @file = File.open(File.join(folder, "worker-#{worker}"), "a")
        @number = 0
      end

      # @param kind [Symbol]
      # @return [Integer] the job's number, which its row bears
      def begin(kind)
        number = @number += 1
        @open = number
        line(number, kind)
        number
      end

      # The worker's thread was killed, and has ended.
      #
      # @return [void]
      def abandon
        self.end(@open, :interrupted) if @open
      end

      # @param outcome [Symbol]
      # @param error [Exception, nil]
      # @return [void]
      def end(number, outcome, error = nil)
        line(number, outcome, error && "#{error.class}: #{error.message}"[0, 400], Thread.current[:connects])
        @open = nil
      end

      # @param folder [String]
      # @return [Array<Job>] of all workers; to be read while none is at work
      def self.read(folder)
        Dir.glob(File.join(folder, "worker-*")).flat_map do |path|
          jobs = {}
          File.foreach(path) { |line| note(jobs, path[/\d+\z/].to_i, JSON.parse(line)) }
          jobs.values
        end
      end

      def self.note(jobs, worker, line)
        at, number, word, error, connects = line
        job = jobs[number]
        # Killed between the line that tells of its end and the note that it is told.
        return if job&.outcome
        return jobs[number] = Job.new(worker, number, word.to_sym, at) if KINDS.include?(word)
        # Killed before the line that tells of its beginning.
        return unless job

        job.ended = at
        job.outcome = word.to_sym
        job.error = error
        job.connects = connects
      end
      private_class_method :note

      private

      # In one piece: an interrupt comes before it or after it.
      def line(*words)
        @file.syswrite("#{JSON.generate([Support.now, *words])}\n")
      end
    end
  end
end
