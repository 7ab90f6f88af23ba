# frozen_string_literal: true

require "socket"

module Support
  module Servers
    # A TCP port of this machine, on the loopback address by default.
    module Port
      EPHEMERAL = "/proc/sys/net/ipv4/ip_local_port_range"
      LOWEST = 15_000
      LOOPBACK = "127.0.0.1"

      module_function

      # Picks below the range that the kernel gives to clients. A port from within (as binding port 0 yields) can be
      # taken by any outgoing connection while our server restarts; worse, a client that keeps trying to reconnect
      # may be given the very port it connects to and then talks to itself.
      #
      # @param address [String]
      # @return [Integer] a port that was free a moment ago
      def free(address = LOOPBACK)
        top = File.read(EPHEMERAL).to_i - 1
        candidates = top > LOWEST ? Array.new(50) { rand(LOWEST..top) } : []
        candidates.find { |port| bound(address, port) } || bound(address, 0)
      end

      # @return [Boolean] whether nobody accepts connections there
      def refused?(port, address = LOOPBACK)
        TCPSocket.new(address, port).close
        false
      rescue Errno::ECONNREFUSED
        true
      rescue Errno::ECONNRESET
        # The listener went away during the handshake.
        false
      end

      def bound(address, port)
        server = TCPServer.new(address, port)
        server.local_address.ip_port
      rescue Errno::EADDRINUSE
        nil
      ensure
        server&.close
      end
    end
  end
end
