# frozen_string_literal: true

require "socket"
require_relative "clock"
require_relative "trips"

module Bench
  # Stands between clients and a server, and notes what neither can say of itself: when each end closed, and what a
  # client still sent after its server had closed.
  class Relay
    # One connection through the relay. Times are of {Clock.now}.
    #
    # @!attribute closed_at
    #   @return [Float, nil] when the client was told that the server has closed
    # @!attribute gone_at
    #   @return [Float, nil] when the client closed
    # @!attribute late_bytes
    #   @return [Integer] what the client sent after closed_at
    # @!attribute trips
    #   @return [Trips] how often the client asked and waited
    Passage = Struct.new(:client, :server, :closed_at, :gone_at, :late_bytes, :trips)

    CHUNK = 65_536

    # @return [Integer]
    attr_reader :port

    # @param port [Integer] where the server listens
    def initialize(port)
      @target = port
      @listener = TCPServer.new("127.0.0.1", 0)
      @port = @listener.addr[1]
      @passages = []
      @thread = Thread.new { loop { turn } }
    end

    # @return [Array<Passage>] all since the last {#clear}
    def passages
      @passages.dup
    end

    # @return [Integer] the round trips of all of them
    def trips
      passages.sum { |passage| passage.trips.count }
    end

    # Forgets the connections that are closed at both ends.
    def clear
      @passages.reject!(&:gone_at)
    end

    def close
      @thread.kill.join
      @passages.each { |passage| [passage.client, passage.server].each(&:close) }
      @listener.close
    end

    private

    def turn
      open = @passages.reject(&:gone_at)
      servers = open.reject(&:closed_at).to_h { |passage| [passage.server, passage] }
      clients = open.to_h { |passage| [passage.client, passage] }
      ready, = IO.select([@listener, *servers.keys, *clients.keys])
      ready.each do |socket|
        next accept if socket == @listener

        servers.key?(socket) ? from_server(servers[socket]) : from_client(clients[socket])
      end
    end

    def accept
      client = @listener.accept
      server = TCPSocket.new("127.0.0.1", @target)
      [client, server].each { |socket| socket.setsockopt(:TCP, :NODELAY, true) }
      @passages << Passage.new(client, server, nil, nil, 0, Trips.new)
    rescue SystemCallError
      # The server is down: its client is refused here as it would be there.
      client&.close
    end

    def from_server(passage)
      passage.client.write(passage.server.readpartial(CHUNK))
    rescue EOFError, SystemCallError
      passage.closed_at = Clock.now
      # Half a close, as the kernel passes a dead server's on: what the client sends after it is still counted.
      hang_up(passage.client)
    end

    def from_client(passage)
      bytes = passage.client.readpartial(CHUNK)
      return passage.late_bytes += bytes.bytesize if passage.closed_at

      passage.trips << bytes
      passage.server.write(bytes)
    rescue EOFError, SystemCallError
      passage.gone_at = Clock.now
      [passage.client, passage.server].each(&:close)
    end

    def hang_up(socket)
      socket.close_write
    rescue SystemCallError
      # The client was faster.
      nil
    end
  end
end
