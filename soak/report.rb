# frozen_string_literal: true

module Soak
  # The table at the end: what was found, and what it had to be.
  class Report
    Line = Struct.new(:what, :found, :wanted, :fine)

    def initialize(title)
      @title = title
      @lines = []
    end

    # @param fine [Boolean]
    def line(what, found, wanted, fine)
      @lines << Line.new(what, found, wanted, fine)
    end

    # Something that has to be a certain value.
    def same(what, found, wanted)
      line(what, found, wanted, found == wanted)
    end

    def clean?
      @lines.all?(&:fine)
    end

    # @return [String] in Markdown
    def to_s
      rows = [["what", "found", "wanted", ""], %w[--- --- --- ---]]
      rows += @lines.map { |line| [line.what, line.found, line.wanted, line.fine ? "ok" : "**off**"] }
      [@title, "", *rows.map { |row| "| #{row.join(" | ")} |" }].join("\n")
    end
  end
end
