# frozen_string_literal: true

require_relative "../servers/product"

module Support
  module Mariadb
    # Where this machine has the server's programs.
    module Installation
      # Debian's mariadbd lies where only root's PATH leads.
      FOLDERS = %w[/usr/sbin /usr/local/sbin].freeze

      module_function

      # @param name [String]
      # @return [String] path of one of the server's programs
      # @raise [Error] when it is not installed
      def program(name)
        folders = [*ENV["PATH"].split(":"), *FOLDERS]
        folders.map { |folder| File.join(folder, name) }.find { |path| File.executable?(path) } ||
          raise(Error, "no #{name} found (looked in #{folders.join(", ")}); " \
                       "install it with: apt-get install mariadb-server-core mariadb-client-core")
      end
    end
  end
end
