# frozen_string_literal: true

module Support
  module Stateful
    # Poolkeeper's log: what it rescued is a failure here.
    class Messages
      # Incidents are told as errors. On 6.1 and 7.0 an interrupt gets into a release, for the locks of connections let
      # it in; one of a class that nobody knows is rescued there as an error, and told.
      EXPECTED = /incident opened|the server refuses writes|rescued .*giving a connection back: #{Interruption}/

      def initialize
        @errors = Queue.new
      end

      def error(line)
        @errors << line unless EXPECTED.match?(line)
      end

      def warn(_line); end
      alias info warn

      # @return [Array<String>] the unexpected ones since the last time
      def take
        Array.new(@errors.size) { @errors.pop }
      end
    end
  end
end
