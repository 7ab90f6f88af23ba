# frozen_string_literal: true

module Support
  module Postgres
    # The server's log file, without what the observer causes in it.
    class ServerLog
      # A line of the server begins with time, pid and application name; further lines of a statement with a tab.
      PREFIX = "%m [%p] %a: "
      ENTRY = /^(?=\d{4}-\d\d-\d\d )/
      PID = /\A[^\[]*\[(\d+)\]/
      BY_OBSERVER = /\A[^\[]*\[\d+\] observer: |connection authorized: .*application_name=observer/
      private_constant :ENTRY, :PID, :BY_OBSERVER

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

      # @param offset [Integer]
      # @return [String] the text from there on
      def text(offset = 0)
        entries = raw(offset).split(ENTRY)
        # A connection shows its name only after "connection received", hence by pid.
        observers = entries.grep(BY_OBSERVER).map { |entry| entry[PID, 1] }.uniq
        entries.reject { |entry| observers.include?(entry[PID, 1]) }.join
      end

      # @return [String] the last lines, for error messages
      def tail
        raw.lines.last(20).join
      end

      # @param offset [Integer]
      # @return [String] the text from there on with the observer's lines
      def raw(offset = 0)
        return "" unless File.exist?(path)

        File.open(path, encoding: "UTF-8") do |file|
          file.seek(offset)
          file.read.scrub
        end
      end
    end
  end
end
