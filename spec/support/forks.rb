# frozen_string_literal: true

module Support
  # Children of this process. What one answers comes back through a pipe, and nothing of this process runs at its end.
  module Forks
    # A child that has done its work and waits to be sent away.
    Child = Struct.new(:pid, :value, :door) do
      def leave
        door.close
        Process.wait(pid)
      end
    end

    # Runs a block in a child and answers its value.
    #
    # @raise [RuntimeError] what the block raised, with its backtrace
    def forked(&block)
      pid, reader = fork_with_pipe { |writer| writer.write(Marshal.dump(error_or_value(&block))) }
      said = reader.read
      Process.wait(pid)
      value_of(said)
    ensure
      reader&.close
    end

    # Runs a block in a child that stays, so that it can be looked at.
    #
    # @param work [Proc] its value is the child's
    # @yieldparam child [Child]
    # @return [Object] the block's value
    def staying(work)
      inside, door = IO.pipe
      pid, reader = fork_with_pipe do |writer|
        door.close
        said = Marshal.dump(error_or_value(&work))
        writer.write([said.bytesize].pack("N"), said)
        inside.read
      end
      inside.close
      size = reader.read(4) or raise "the child said nothing"
      child = Child.new(pid, value_of(reader.read(size.unpack1("N"))), door)
      yield child
    ensure
      reader&.close
      child&.leave
    end

    # In a child that has come about otherwise: tells the value of a block, and ends.
    #
    # @param writer [IO] where to
    def in_child(writer, &block)
      writer.write(Marshal.dump(error_or_value(&block)))
    ensure
      exit!(0)
    end

    private

    def fork_with_pipe
      reader, writer = IO.pipe
      pid = Process.fork do
        # A child of a child would pile up the pipes of all its forebears.
        @pipes&.each(&:close)
        @pipes = [writer]
        reader.close
        yield writer
        writer.close
      ensure
        exit!(0)
      end
      writer.close
      [pid, reader]
    end

    def error_or_value
      yield
    rescue Exception => e # rubocop:disable Lint/RescueException -- told to the parent
      RuntimeError.new("in the child: #{e.full_message(highlight: false)}")
    end

    def value_of(said)
      value = Marshal.load(said) # rubocop:disable Security/MarshalLoad -- our own child's
      value.is_a?(Exception) ? raise(value) : value
    end
  end
end
