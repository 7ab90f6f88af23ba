# frozen_string_literal: true

module Soak
  # poolkeeper's log lines: in a healthy system it has nothing to say.
  class Log
    # @return [Array<String>]
    attr_reader :lines

    def initialize
      @lines = []
    end

    def warn(line)
      @lines << line
    end
    alias error warn

    # That a connection was kept or dropped is told here; it is counted, too.
    def info(line)
      @lines << line unless line.include?("release left a connection alone")
    end
  end
end
