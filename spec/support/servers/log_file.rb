# frozen_string_literal: true

module Support
  module Servers
    # A file that a server writes.
    class LogFile
      # @return [String]
      attr_reader :path

      # @param path [String]
      def initialize(path)
        @path = path
      end

      # @return [Integer] bytes so far
      def size
        File.exist?(path) ? File.size(path) : 0
      end

      # @return [String] the last lines, for error messages
      def tail
        raw.scrub.lines.last(20).join
      end

      # @param offset [Integer]
      # @return [String] all that was written from there on, byte by byte: it may be no valid UTF-8
      def raw(offset = 0)
        return "" unless File.exist?(path)

        File.open(path, encoding: "UTF-8") do |file|
          file.seek(offset)
          file.read
        end
      end
    end
  end
end
