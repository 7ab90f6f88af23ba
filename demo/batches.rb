# frozen_string_literal: true

require_relative "trail"

module Demo
  # What became of the batches, and which fault a failure belongs to. Judged by the driver's words alone: nothing of
  # poolkeeper's own account goes into it.
  class Batches
    # What ActiveRecord raises when an open connection turns out to be gone; the driver's words the database knows.
    LOST = { "ActiveRecord::ConnectionFailed" => //, "ActiveRecord::ConnectionNotEstablished" => // }.freeze
    POOL = "ActiveRecord::ConnectionTimeoutError"

    # @param faults [Faults]
    # @param database [Module] {Postgresql} or {Mariadb}
    def initialize(faults, database)
      @faults = faults
      @refused = database::REFUSED
      @lost = { **LOST, **database::LOST }
      @succeeded = []
      @failed = []
      # Their orders were written, and their row of the trail was not: {TrailLog} judges them.
      @untrailed = []
    end

    # @param event [Hash] from {Reporter}
    def note(event)
      return @succeeded << event unless event[:event] == "failed"

      Trail.failed?(event) ? @untrailed << event : @failed << event
    end

    # @return [Array<Hash>]
    attr_reader :succeeded

    # @return [Integer]
    def failures
      @failed.size + @untrailed.size
    end

    # @return [Float] when the last one succeeded
    def last_success
      @succeeded.map { |event| event[:at] }.max
    end

    # @param fault [Fault, nil] nil for what no fault explains
    # @return [Array<Hash>] batches that failed on a connection from before it
    def lost(fault)
      of(fault).select { |event| kind(event) == :lost }
    end

    # @return [Array<Hash>] batches that were refused a connection
    def refused(fault)
      of(fault).select { |event| kind(event) == :refused }
    end

    # @return [Array<Hash>] among those lost, batches that began when another had already succeeded
    def late(fault)
      first = first_success(fault)
      first ? lost(fault).select { |event| event[:begun] > first } : []
    end

    # @return [Float, nil] end of the first batch that began after the fault did and succeeded
    def first_success(fault)
      @succeeded.select { |event| event[:begun] >= fault.began }.map { |event| event[:at] }.min
    end

    # @return [Hash{String => Integer}] batches that failed of something else, or without a fault before them
    def others
      rest = @failed.reject { |event| @faults.before(event[:at]) && %i[lost refused].include?(kind(event)) }
      rest.map { |event| event[:links].last[:class] }.tally
    end

    private

    def of(fault)
      @failed.select { |event| @faults.before(event[:at]).equal?(fault) }
    end

    def kind(event)
      links = event[:links]
      return :exhausted if links.any? { |link| link[:class] == POOL }
      return :refused if links.any? { |link| link[:text].match?(@refused) }

      links.any? { |link| @lost[link[:class]]&.match?(link[:text]) } ? :lost : :other
    end
  end
end
