# frozen_string_literal: true

module Support
  module Stateful
    # The last steps, for whoever has to find out what went wrong.
    class History
      LENGTH = 30

      def initialize
        @lines = []
      end

      def add(line)
        @lines << line
        @lines.shift if @lines.size > LENGTH
      end

      def to_s
        @lines.join("\n")
      end
    end
  end
end
