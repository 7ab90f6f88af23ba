# frozen_string_literal: true

require_relative "node"
require_relative "template"

module Support
  module Servers
    # A primary and, if asked for, its standby. A product's own class says how they are made.
    class Cluster
      # @return [Node]
      attr_reader :primary
      # @return [Node, nil]
      attr_reader :standby

      # @param product [Product]
      # @param standby [Boolean]
      # @param password [String, nil]
      # @param settings [Hash]
      def initialize(product, standby: false, password: nil, **settings)
        @sandbox = Sandbox.new(product)
        @settings = settings
        @password = password
        @primary = start_primary
        @standby = start_standby if standby
        complete = true
      ensure
        # However a start ends early, by exception, `throw` or the death of its thread.
        close unless complete
      end

      # @return [Array<Node>]
      def nodes
        [primary, standby].compact
      end

      # Ends the servers, frozen or not, and removes their folder. Does nothing in a forked child, nor the second time.
      #
      # @return [void]
      def close
        @sandbox&.close
      end
    end
  end
end
