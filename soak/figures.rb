# frozen_string_literal: true

module Soak
  # What poolkeeper has counted.
  module Figures
    # Each of them is to stay at nothing; those that this version does not count are left out.
    ZERO = %i[discarded evicted dropped severed expired leaked mirror_misses].freeze

    module_function

    # @return [Hash{Symbol => Integer}]
    def harm
      stats = Poolkeeper.stats.values
      ZERO.select { |name| stats.first.key?(name) }.to_h { |name| [name, stats.sum { |pool| pool[name] }] }
    end

    # @return [Integer] leases that are out
    def leases
      Poolkeeper.stats.values.sum { |pool| pool[:leases].size }
    end
  end
end
