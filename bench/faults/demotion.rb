# frozen_string_literal: true

module Bench
  # The primary is demoted and the standby promoted; two seconds later the configured name leads to the new writer.
  class Demotion
    KINDS = %w[bare observed native].freeze
    WORKERS = 5

    # @param suite [Support::Faults::Suite]
    # @return [Array<Result>]
    def call(suite)
      told = suite.run("promotion", KINDS.map { |kind| { kind: kind, workers: WORKERS } })
      figures = KINDS.zip(told.map(&:figures)).to_h
      KINDS.each { |kind| puts "  #{kind.ljust(9)} #{said(figures[kind])}" }
      %w[observed native].map { |kind| result(kind, figures) }
    end

    private

    def said(figures)
      format("%<failed_after>d of %<after>d writes failed from 0.5 s after the move on; %<kept>d connections to the " \
             "old primary", figures)
    end

    def result(kind, figures)
      ours, bare = figures.values_at(kind, "bare")
      Result.new(what: "demoted primary, address moved after 2 s, #{WORKERS} workers (#{kind})",
                 poolkeeper: said(ours), beside: "bare: #{said(bare)}", target: "0 failed, 0 connections",
                 met: ours[:after].positive? && ours[:failed_after].zero? && ours[:kept].zero?)
    end
  end
end
