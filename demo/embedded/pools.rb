# frozen_string_literal: true

require_relative "../trail"

module Demo
  module Embedded
    # The consumer's pools over one file: what is read of customers is read where nothing can be written.
    POOLS = { orders: [5, nil], customers: [5, "ro"], audit: [Trail::SIZE, nil] }.freeze

    # @param file [String]
    # @param mode [String, nil]
    # @return [String]
    def self.url(file, mode = nil)
      mode ? "sqlite:#{file}?mode=#{mode}" : "sqlite:#{file}"
    end
  end
end
