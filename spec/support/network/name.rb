# frozen_string_literal: true

module Support
  module Network
    # A name that resolves anew each time, and moves: a file that a process has in the place of /etc/hosts, in its own
    # mounts.
    class Name
      HOST = "database.test"
      private_constant :HOST

      # @return [String] of the file
      attr_reader :path

      # @param path [String]
      # @param address [String]
      def initialize(path, address)
        @path = path
        File.write(path, text(address))
      end

      # Called by the process that is to see it, in mounts of its own.
      #
      # @param path [String]
      # @return [void]
      def self.mount(path)
        Network.command("mount", "--bind", path, "/etc/hosts")
      end

      # @return [String]
      def self.host
        HOST
      end

      # @param address [String] where it leads from now on
      # @return [void]
      def move(address)
        # In place, for the file itself is mounted; and in one piece, for somebody may be reading.
        File.open(path, "r+") { |file| file.pwrite(text(address), 0) }
      end

      private

      # Always of one length.
      def text(address)
        "127.0.0.1 localhost\n#{address.ljust(15)} #{HOST}\n"
      end
    end
  end
end
