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
      # @param addresses [Array<String>] where primary and standby listen, on one port; one address by default
      # @param settings [Hash]
      def initialize(product, standby: false, password: nil, addresses: nil, **settings)
        @sandbox = Sandbox.new(product)
        @settings = settings
        @password = password
        @addresses = addresses
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

      # The standby takes the primary's place, and the primary becomes its standby. Nothing that was confirmed is lost.
      #
      # @yield once the primary takes no more writes
      # @return [void]
      def switch_over(&)
        old = primary
        hand_over(old, standby, &)
        @primary = standby
        @standby = old
      end

      # Ends the servers, frozen or not, and removes their folder. Does nothing in a forked child, nor the second time.
      #
      # @return [void]
      def close
        @sandbox&.close
      end

      private

      # What makes a node listen where it is to.
      def place(name)
        return {} unless @addresses

        { host: @addresses.fetch(name == "primary" ? 0 : 1), port: @primary&.port }
      end
    end
  end
end
