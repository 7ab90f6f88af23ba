# frozen_string_literal: true

module Demo
  # What became of the writes of the audit trail, as the consumer tells it, beside what another client counts.
  class TrailLog
    # What another client counted: the rows, the sessions when the work was done and when the process had left.
    attr_accessor :rows, :sessions, :sessions_left
    # @return [Array<Hash>] the writes that failed
    attr_reader :failed

    # @param faults [Faults]
    def initialize(faults)
      @faults = faults
      @written = []
      @failed = []
    end

    # @param event [Hash] from {Trail}
    def note(event)
      event[:event] == "untrailed" ? @failed << event : @written << event
    end

    # @return [Integer] writes that were told to be done
    def confirmed
      @written.size
    end

    # A write that failed may have been done all the same.
    #
    # @return [Boolean] whether there are as many rows as the writes explain
    def plausible?
      rows.size.between?(confirmed, confirmed + failed.size)
    end

    # @param succeeded [Array<Hash>] batches, from {Batches}
    # @return [Integer] those that left no row
    def missing(succeeded)
      (succeeded.map { |event| event[:batch] } - rows).size
    end

    # @return [Array<Hash>] writes that failed though the server had not gone away yet
    def early
      began = restart&.began
      began ? failed.select { |event| event[:at] < began } : failed
    end

    # @return [Array<Hash>] failed writes that began when another had already succeeded after the restart
    def late
      first = first_success
      first ? failed.select { |event| event[:begun] > first } : []
    end

    # @return [Float, nil] seconds from the beginning of the restart to the first new write
    def recovery
      first = first_success
      first && (first - restart.began)
    end

    private

    def restart
      @faults.find { |fault| fault.name == :restart && fault.began }
    end

    def first_success
      began = restart&.began or return
      @written.select { |event| event[:begun] >= began }.map { |event| event[:at] }.min
    end
  end
end
