# frozen_string_literal: true

module Support
  module Faults
    # What was done at one time, when, and what it may cost. All times are of {Support.now}, which all processes share.
    class Incident
      # When it began; from when on the server was gone, so that whoever begins a job has to meet it anew; and when it
      # was back, so that every job has to succeed.
      #
      # @return [Float]
      attr_accessor :struck, :gone, :back
      # @return [Array<Servers::Node>] servers that it leaves alone: their sessions outlive it
      attr_reader :spared

      # @param fault [Fault]
      # @param spared [Array<Servers::Node>]
      def initialize(fault, spared: [])
        @fault = fault
        @spared = spared
        @struck = Support.now
      end

      # @param seconds [Numeric] from now on
      # @return [void]
      def gone_within(seconds)
        self.gone = Support.now + seconds
      end

      # @param failure [Journal::Job]
      # @param grace [Numeric] seconds after it was back
      # @return [Symbol, nil] :in_flight, or :away (the server was not there, and the error says so); nil where this
      #   does not explain it
      def explanation(failure, grace)
        return if failure.ended < struck || failure.began > back + grace
        return :away if @fault.away.match?(failure.error)

        :in_flight if failure.began <= gone
      end

      # @param job [Journal::Job]
      # @param kind [String] of the process under test
      # @param anew [Boolean] whether its worker has lost its connection to it before, and connects
      # @return [Numeric] seconds that it may be blocked
      def longest(job, kind, anew)
        blocked = @fault.blocked_for(kind) if job.began <= gone && !anew
        blocked || @fault.patience || (back - struck + 1)
      end

      # @return [Boolean] whether the server says nothing meanwhile, and jobs are blocked
      def silent?
        !@fault.blocked.nil?
      end

      # @return [Boolean] whether a job was under way while it lasted
      def touches?(job)
        job.began < back && (job.ended.nil? || job.ended > struck)
      end
    end
  end
end
