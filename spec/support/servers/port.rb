# frozen_string_literal: true

require "socket"

module Support
  module Servers
    # A TCP port on the loopback address.
    module Port
      EPHEMERAL = "/proc/sys/net/ipv4/ip_local_port_range"
      LOWEST = 15_000

      module_function

      # Picks below the range that the kernel gives to clients. A port from within (as binding port 0 yields) can be
      # taken by any outgoing connection while our server restarts; worse, a client that keeps trying to reconnect
      # may be given the very port it connects to and then talks to itself.
      #
      # @return [Integer] a port that was free a moment ago
      def free
        top = File.read(EPHEMERAL).to_i - 1
        candidates = top > LOWEST ? Array.new(50) { rand(LOWEST..top) } : []
        candidates.find { |port| bound(port) } || bound(0)
      end

      # @return [Boolean] whether nobody accepts connections there
      def refused?(port)
        TCPSocket.new("127.0.0.1", port).close
        false
      rescue Errno::ECONNREFUSED
        true
      rescue Errno::ECONNRESET
        # The listener went away during the handshake.
        false
      end

      def bound(port)
        server = TCPServer.new("127.0.0.1", port)
        server.local_address.ip_port
      rescue Errno::EADDRINUSE
        nil
      ensure
        server&.close
      end
    end
  end
end
