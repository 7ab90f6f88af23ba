# frozen_string_literal: true

module Bench
  # Counts round trips in what a client of PostgreSQL sends: each asks for an answer with a Sync or a simple Query.
  class Trips
    ASK = %w[S Q].freeze
    # Requests for encryption, which come before the first message proper and have its shape.
    ENCRYPTION = [80_877_103, 80_877_104].freeze
    private_constant :ASK, :ENCRYPTION

    # @return [Integer]
    attr_reader :count

    def initialize
      @count = 0
      @head = "".b
      # Of the message under way, still to come.
      @left = 0
      @begun = false
    end

    # @param bytes [String] the next that were sent
    def <<(bytes)
      until bytes.empty?
        bytes = bytes.byteslice(skip(bytes)..)
        missing = head_size - @head.bytesize
        @head << bytes.byteslice(0, missing)
        bytes = bytes.byteslice(missing..) || ""
        message if @head.bytesize == head_size
      end
      self
    end

    private

    def head_size
      @begun ? 5 : 8
    end

    def skip(bytes)
      [@left, bytes.bytesize].min.tap { |skipped| @left -= skipped }
    end

    def message
      if @begun
        @count += 1 if ASK.include?(@head[0])
        @left = @head.unpack1("xN") - 4
      else
        size, code = @head.unpack("NN")
        @left = size - 8
        @begun = !ENCRYPTION.include?(code)
      end
      @head.clear
    end
  end
end
