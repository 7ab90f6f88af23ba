# frozen_string_literal: true

module Support
  module Network
    # The only way between the servers' namespace and that of one process. Cut, it swallows what either side sends: no
    # reset, no error, as with a machine that has vanished or a firewall that has forgotten a flow.
    class Link
      class << self
        # @return [Integer] one that no link has had lately
        def next
          # Those of the servers are 0.
          @last = (@last || 0) % 250 + 1
        end
      end

      # @return [Integer] as a network it is 10.77.number.0/30
      attr_reader :number

      # Called in the servers' namespace.
      #
      # @param pid [Integer] of a process in a namespace of its own
      # @param number [Integer]
      def initialize(pid, number)
        @number = number
        Network.ip("link", "add", device, "type", "veth", "peer", "name", Link.inside, "netns", pid.to_s)
        Network.ip("address", "add", "#{ours}/30", "dev", device)
        Network.ip("link", "set", device, "up")
      end

      # Called in the process's namespace.
      #
      # @param number [Integer]
      # @return [void]
      def self.join(number)
        Network.ip("link", "set", "lo", "up")
        Network.ip("address", "add", "10.77.#{number}.2/30", "dev", inside)
        Network.ip("link", "set", inside, "up")
        Network.ip("route", "add", "default", "via", "10.77.#{number}.1")
      end

      # @return [String] the device's name in there
      def self.inside
        "outside"
      end

      # @return [String] whence the servers see the process come
      def address
        "10.77.#{number}.2"
      end

      # Takes the route away.
      #
      # @return [void]
      def cut
        Network.ip("route", "del", network, "dev", device)
      end

      # @return [void]
      def mend
        Network.ip("route", "add", network, "dev", device, "src", ours)
      end

      private

      def device
        "link#{number}"
      end

      def network
        "10.77.#{number}.0/30"
      end

      def ours
        "10.77.#{number}.1"
      end
    end
  end
end
