# frozen_string_literal: true

require "bigdecimal"
require "date"

module Support
  # How the examples about the statements of native pools speak to each database, and how they look at it from outside.
  module Statements
    MOMENT = Time.utc(2026, 11, 22, 10, 11, 12, 345_678)
    DAY = Date.new(2026, 11, 22)
    BYTES = "\xFF\x00\xC3".b.freeze
    LARGE = BigDecimal("-123456789012345678.12345")

    # A column of a type, what is written into it, what comes back, and what another client sees.
    Fit = Struct.new(:type, :value, :back, :seen, :as, keyword_init: true) do
      def to_s
        "#{value.class} #{value.inspect} to #{type}"
      end
    end

    # @return [Array<Fit>] of lines: type, value, what another client sees, what comes back where that is another value;
    #   `as:` is SQL by which the other client reads it
    def self.fits(*lines)
      lines.map do |type, value, seen, *back, as: "v"|
        Fit.new(type:, value:, seen:, back: back.empty? ? value : back.first, as:)
      end
    end

    # For databases that have a server.
    module Served
      def initialize(node)
        @node = node
      end

      # @return [Array<Array<String, nil>>] as another client sees them
      def outside(sql)
        @node.sql(sql)
      end

      # @return [Array<Integer>] the sessions that there are
      def sessions
        @node.backends.map(&:pid)
      end

      # @return [Boolean] whether anybody is at work
      def busy?
        @node.backends(state: "active").any?
      end

      def close; end
    end
  end
end
