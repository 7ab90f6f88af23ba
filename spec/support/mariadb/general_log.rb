# frozen_string_literal: true

require_relative "../servers/log_file"

module Support
  module Mariadb
    # The general query log: connections and statements, without what the observer and replication cause in it.
    class GeneralLog < Servers::LogFile
      # A line begins with the time or, within the same second, with tabs; then the connection's number and the command.
      # Whatever does not is the next line of a statement.
      ENTRY = /\A(?:\d{6} [ \d]\d:\d\d:\d\d)?\t+ *(\d+) (?:[A-Z][a-z]+)/
      # The server says this when it starts, and numbers connections anew.
      STARTED = /, Version: .* started with:$/
      LOOKING_ON = / Connect\t(?:#{SUPERUSER}|#{REPLICATOR})@/
      private_constant :ENTRY, :STARTED, :LOOKING_ON

      # @param offset [Integer]
      # @return [String] the text from there on
      def text(offset = 0)
        unseen = []
        seen = true
        position = 0
        raw.each_line.filter_map do |bytes|
          position += bytes.bytesize
          # A statement may carry any bytes.
          line = bytes.scrub
          if line.match?(STARTED)
            unseen = []
            seen = true
          elsif (id = line[ENTRY, 1])
            unseen << id if line.match?(LOOKING_ON)
            seen = !unseen.include?(id)
          end
          line if seen && position > offset
        end.join
      end
    end
  end
end
