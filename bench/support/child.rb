# frozen_string_literal: true

require "socket"

module Bench
  # A process of its own for what must not share one: peers with other callbacks, a client beside its server's keeper.
  # Both sides speak in turns.
  #
  # @example
  #   Child.run(->(line) { loop { line.tell(measure(line.hear)) } }) do |child|
  #     child.ask(20_000)
  #   end
  class Child
    # One end of the line: whole Ruby values, one after the other.
    class Line
      def initialize(socket)
        @socket = socket
      end

      def tell(value)
        Marshal.dump(value, @socket)
      end

      # @raise [EOFError] when the other side has gone
      def hear
        Marshal.load(@socket) # rubocop:disable Security/MarshalLoad -- from our own child
      end

      def close
        @socket.close
      end
    end

    # @param body [Proc] runs in the child, with its end of the line, until the parent closes the other
    # @yieldparam child [Child] ended after the block
    # @return [Object] the block's value
    def self.run(body)
      child = new(body)
      yield child
    ensure
      child&.close
    end

    @lines = []

    class << self
      # Our ends of the lines to all children. Each child closes those it inherits: a line held by a sibling never ends.
      attr_reader :lines
    end

    # @return [Integer]
    attr_reader :pid

    def initialize(body)
      ours, theirs = UNIXSocket.pair
      self.class.lines << (@line = Line.new(ours))
      $stdout.flush
      @pid = Process.fork do
        self.class.lines.each(&:close)
        live(Line.new(theirs), body)
      end
      theirs.close
    end

    # @return [Object] the child's reply
    # @raise [RuntimeError] what the child failed with
    def ask(question)
      tell(question)
      hear
    end

    def tell(value)
      @line.tell(value)
    rescue Errno::EPIPE
      # It has ended: its last words say why.
      nil
    end

    def hear
      reply = @line.hear
      reply.is_a?(Failure) ? raise(reply.text) : reply
    rescue EOFError
      raise "a child process of the benchmark ended early"
    end

    def close
      self.class.lines.delete(@line).close
      Process.wait(@pid)
    end

    # What ended a child.
    Failure = Struct.new(:text)
    private_constant :Failure

    private

    def live(line, body)
      body.call(line)
    rescue EOFError, Errno::EPIPE
      # The parent has closed the line: that is the end.
    rescue Exception => e # rubocop:disable Lint/RescueException -- told to the parent, who raises it
      line.tell(Failure.new("in a child process: #{e.full_message(highlight: false)}"))
    ensure
      # No at_exit of the parent's: the servers are its own.
      exit!
    end
  end
end
