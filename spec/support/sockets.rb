# frozen_string_literal: true

require "socket"

module Support
  # What the kernel says of a socket that a driver owns.
  module Sockets
    # TCP's state of a connection that both ends hold open.
    ESTABLISHED = 1

    # @param descriptor [Integer, nil]
    # @return [Boolean] whether its peer has closed it, or nothing is left of it
    def self.closing?(descriptor)
      return true if descriptor.nil? || descriptor.negative?

      socket = Socket.for_fd(descriptor)
      socket.autoclose = false
      socket.getsockopt(Socket::IPPROTO_TCP, Socket::TCP_INFO).data.unpack1("C") != ESTABLISHED
    rescue SystemCallError
      # Closed already, and the number may be something else's.
      true
    end
  end
end
