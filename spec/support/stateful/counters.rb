# frozen_string_literal: true

module Support
  module Stateful
    # What Poolkeeper has counted, added up over pools that come and go: theirs go with them.
    class Counters
      NAMES = %i[released discarded evicted dropped expired leaked kept mirror_misses].freeze

      # @return [Hash{Symbol => Integer}]
      attr_reader :totals

      def initialize
        @last = {}
        @totals = NAMES.to_h { |name| [name, 0] }
        look
      end

      # @return [Hash{Symbol => Integer}] what was added since the last look
      def look
        now = Poolkeeper::Mirror._stats.to_h { |pool| [pool[:number], pool.slice(*NAMES)] }
        added = NAMES.to_h { |name| [name, now.sum { |number, pool| pool[name] - @last.dig(number, name).to_i }] }
        @last = now
        added.each { |name, count| @totals[name] += count }
        added
      end
    end
  end
end
