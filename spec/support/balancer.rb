# frozen_string_literal: true

require "socket"

module Support
  # A door to several servers: each new connection is led to the one that is the target just then.
  class Balancer
    # @return [Integer]
    attr_reader :port
    # @return [Integer, Array] the port of a server on this machine; or addresses, each a host with a port, that take
    #   turns
    attr_accessor :target

    # @param target (see #target)
    # @param host [String] where the door is
    def initialize(target, host: "127.0.0.1")
      @target = target
      @door = TCPServer.new(host, 0)
      @port = @door.addr[1]
      @threads = Queue.new
      @threads << Thread.new { welcome }
    end

    # Ends everything that is led through it.
    def close
      @door.close
      @threads.pop.kill.join until @threads.empty?
    end

    private

    def address
      target.is_a?(Array) ? target.rotate!.last : ["127.0.0.1", target]
    end

    def welcome
      loop do
        client = @door.accept
        server = TCPSocket.new(*address)
        @threads << lead(client, server) << lead(server, client)
      end
    rescue IOError
      nil
    end

    def lead(from, to)
      Thread.new do
        Thread.current.report_on_exception = false
        IO.copy_stream(from, to)
      rescue SystemCallError, IOError
        nil
      ensure
        to.close
      end
    end
  end
end
