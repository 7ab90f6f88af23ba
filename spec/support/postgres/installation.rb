# frozen_string_literal: true

require "etc"

module Support
  module Postgres
    # What this machine has: the server's programs, and the user they may run as.
    module Installation
      PROGRAMS = %w[initdb pg_basebackup postgres].freeze

      module_function

      # @return [String] folder of the server's programs
      # @raise [Error] when no server is installed
      def bindir
        @bindir ||= find_bindir
      end

      def find_bindir
        # pg_config comes with libpq's headers and names a folder even where no server is in it.
        candidates = [pg_config, *newest_first(Dir.glob("/usr/lib/postgresql/*/bin")), *ENV["PATH"].split(":")].compact
        candidates.find { |folder| PROGRAMS.all? { |program| File.executable?(File.join(folder, program)) } } ||
          raise(Error, "no PostgreSQL server found (looked in #{candidates.join(", ")}); " \
                       "install one with: apt-get install postgresql")
      end

      # @param name [String]
      # @return [String] path of one of the server's programs
      def program(name)
        File.join(bindir, name)
      end

      # @return [Etc::Passwd, nil] whom to run the server as; nil means as ourselves. PostgreSQL refuses root.
      # @raise [Error] when we are root and know nobody else
      def user
        return unless Process.euid.zero?

        %w[postgres nobody].each do |name|
          return Etc.getpwnam(name)
        rescue ArgumentError
          next
        end
        raise Error, "PostgreSQL does not run as root, and neither postgres nor nobody is a user of this machine; " \
                     "create one with: useradd --system postgres"
      end

      # @param user [Etc::Passwd, nil]
      # @return [Array<String>] what to put before a command to run it as that user
      # @raise [Error] when setpriv is needed and missing
      def privilege_drop(user)
        return [] unless user

        setpriv = ENV["PATH"].split(":").map { |folder| File.join(folder, "setpriv") }.find { |f| File.executable?(f) }
        raise Error, "setpriv not found, without which root cannot start PostgreSQL; apt-get install util-linux" \
          unless setpriv

        [setpriv, "--reuid=#{user.uid}", "--regid=#{user.gid}", "--clear-groups", "--"]
      end

      def pg_config
        # IO.popen starts no thread, as Open3 does; specs count threads.
        IO.popen(%w[pg_config --bindir], &:read).chomp
      rescue Errno::ENOENT
        nil
      end

      def newest_first(folders)
        folders.sort_by { |folder| -folder[/\d+/].to_i }
      end
    end
  end
end
