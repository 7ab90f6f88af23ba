# frozen_string_literal: true

module Bench
  # One line of the table: figures with their units, and whether the target was met.
  Result = Struct.new(:what, :poolkeeper, :beside, :ratio, :target, :met, keyword_init: true) do
    # @return [Array<String>]
    def cells
      [what, poolkeeper, beside, ratio.to_s, "#{target}: #{met ? "met" : "**missed**"}"]
    end
  end

  # The table that ends a run, in Markdown, so that it can be quoted.
  class Table
    HEAD = ["what", "poolkeeper", "beside it", "ratio", "target"].freeze

    # @param results [Array<Result>]
    def initialize(results)
      @results = results
    end

    # @return [String]
    def to_s
      [HEAD, HEAD.map { "---" }, *@results.map(&:cells)].map { |cells| "| #{cells.join(" | ")} |\n" }.join
    end

    # @return [Array<Result>] those whose target was not met
    def missed
      @results.reject(&:met)
    end
  end
end
