# frozen_string_literal: true

module Bench
  # Workers in the middle of a job when their server falls silent, and how long it takes until all are free.
  class Silence
    KINDS = %w[bare observed native].freeze

    # What is measured.
    #
    # @!attribute fault [String] in the catalogue of the fault suite
    # @!attribute workers [Integer]
    # @!attribute lasts [Numeric] seconds, after which the server is there again, for the bare ones
    # @!attribute limit [Numeric] seconds
    Row = Struct.new(:fault, :workers, :lasts, :limit, keyword_init: true)
    ROWS = { "frozen" => Row.new(fault: "frozen server", workers: 20, lasts: 26, limit: 1.4),
             "dropped" => Row.new(fault: "dropped packets", workers: 5, lasts: 9, limit: 2.2) }.freeze

    # @param row [Row]
    def initialize(row)
      @row = row
    end

    # @param suite [Support::Faults::Suite]
    # @return [Array<Result>]
    def call(suite)
      subjects = KINDS.map { |kind| { kind: kind, workers: @row.workers } }
      told = suite.run(@row.fault, subjects, seconds: @row.lasts, timeout: 200)
      figures = KINDS.zip(told.map(&:figures)).to_h
      KINDS.each { |kind| puts "  #{kind.ljust(9)} #{said(figures[kind])}" }
      %w[observed native].map { |kind| result(kind, figures) }
    end

    private

    def said(figures)
      format("%<held>d of %<workers>d workers met the silence, the last was free after %<freed>.2f s",
             workers: @row.workers, held: figures[:held], freed: figures[:freed] || 0)
    end

    def result(kind, figures)
      ours, bare = figures.values_at(kind, "bare")
      Result.new(what: "#{@row.fault}, #{@row.workers} workers (#{kind})",
                 poolkeeper: "all free after #{ours[:freed].to_f.round(2)} s",
                 beside: "bare: #{bare[:freed].to_f.round(1)} s (the server came back after #{@row.lasts} s)",
                 target: "#{@row.limit} s", met: ours[:held] == @row.workers && ours[:freed] <= @row.limit)
    end
  end
end
