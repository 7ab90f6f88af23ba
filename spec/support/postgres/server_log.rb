# frozen_string_literal: true

require_relative "../servers/log_file"

module Support
  module Postgres
    # The server's log file, without what the observer causes in it.
    class ServerLog < Servers::LogFile
      # A line of the server begins with time, pid and application name; further lines of a statement with a tab.
      PREFIX = "%m [%p] %a: "
      ENTRY = /^(?=\d{4}-\d\d-\d\d )/
      PID = /\A[^\[]*\[(\d+)\]/
      BY_OBSERVER = /\A[^\[]*\[\d+\] observer: |connection authorized: .*application_name=observer/
      private_constant :ENTRY, :PID, :BY_OBSERVER

      # @param offset [Integer]
      # @return [String] the text from there on
      def text(offset = 0)
        entries = raw(offset).scrub.split(ENTRY)
        # A connection shows its name only after "connection received", hence by pid.
        observers = entries.grep(BY_OBSERVER).map { |entry| entry[PID, 1] }.uniq
        entries.reject { |entry| observers.include?(entry[PID, 1]) }.join
      end
    end
  end
end
