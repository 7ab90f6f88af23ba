# frozen_string_literal: true

module Support
  module Postgres
    # Where this machine has the server's programs.
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
