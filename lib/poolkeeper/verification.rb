# frozen_string_literal: true

module Poolkeeper
  # What {Poolkeeper.verify} or {Poolkeeper.verify!} found and did.
  #
  # @!attribute fault
  #   @return [Symbol, nil] :dead, :expired, :demoted, :unreachable or :overloaded; nil where there was no error
  # @!attribute pools
  #   @return [Array<String>] the names of the pools it concerns, as in {Poolkeeper.stats}
  # @!attribute condemned
  #   @return [Integer] connections marked to be dropped before their next use
  # @!attribute dropped
  #   @return [Integer] connections dropped at once
  # @!attribute seconds
  #   @return [Float] how long it took
  Verification = Struct.new(:fault, :pools, :condemned, :dropped, :seconds, keyword_init: true)
end
