# frozen_string_literal: true

require "socket"

module Support
  # A door to a server that spoils what the server says, at given places.
  class Mangler
    KINDS = %i[set drop insert cut].freeze
    # Bytes. The server's part of a conversation is about so long: log-in, and a few statements.
    LENGTH = 700

    # What is done to the bytes of one connection.
    #
    # @!attribute at [Integer] which byte of what the server says
    # @!attribute kind [Symbol] :set (it has this value), :drop (so many are left out), :insert (these come before it),
    #   :cut (there is none any more)
    # @!attribute value [Integer, String, nil]
    Change = Struct.new(:at, :kind, :value) do
      # @param line [String] as #to_s
      def self.parse(line)
        at, kind, value = line.split
        new(Integer(at), kind.to_sym, kind == "insert" ? [value].pack("H*") : value && Integer(value))
      end

      # @param random [Random]
      def self.random(random)
        kind = KINDS.sample(random: random)
        value = { set: random.rand(256), drop: random.rand(1..9), insert: random.bytes(random.rand(1..9)) }[kind]
        new(random.rand(LENGTH), kind, value)
      end

      def to_s
        [at, kind, kind == :insert ? value.unpack1("H*") : value].compact.join(" ")
      end
    end

    # @return [Integer]
    attr_reader :port

    # @param target [Integer] the port of a server on this machine
    def initialize(target)
      @target = target
      @door = TCPServer.new("127.0.0.1", 0)
      @port = @door.addr[1]
      @changes = {}
      @threads = Queue.new
      @threads << Thread.new { welcome }
    end

    # Ends the spoiling of what is there.
    #
    # @param changes [Array<Change>] to what is said over connections that come from now on
    def spoil(changes)
      @changes.clear
      @changes = changes.to_h { |change| [change.at, change] }
    end

    # Ends everything that is led through it.
    def close
      @door.close
      @threads.pop.kill.join until @threads.empty?
    end

    private

    def welcome
      loop do
        client = @door.accept
        server = TCPSocket.new("127.0.0.1", @target)
        @threads << lead(client, server) { |bytes| bytes } << lead(server, client, &spoiling(@changes))
      end
    rescue IOError
      nil
    end

    # @return [Proc] that spoils one piece of a connection after the other
    def spoiling(changes)
      place = -1
      left_out = 0
      lambda do |bytes|
        bytes.each_char.with_object(+"".b) do |byte, out|
          change = changes[place += 1]
          left_out = change.value if change&.kind == :drop
          left_out = 0 if changes.empty?
          raise EOFError if change&.kind == :cut
          next left_out -= 1 if left_out.positive?

          out << change.value if change&.kind == :insert
          out << (change&.kind == :set ? change.value.chr : byte)
        end
      end
    end

    def lead(from, to)
      Thread.new do
        Thread.current.report_on_exception = false
        loop { to.write(yield(from.readpartial(65_536))) }
      rescue SystemCallError, IOError
        nil
      ensure
        to.close
        from.close
      end
    end
  end
end
