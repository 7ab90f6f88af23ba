# frozen_string_literal: true

require_relative "../servers/template"
require_relative "installation"

module Support
  module Postgres
    # A data folder fresh from initdb with the role and the database in it.
    class Template < Servers::Template
      # One statement a line: single-user mode takes each line for itself.
      SETUP = <<~SQL.freeze
        CREATE ROLE #{ROLE} LOGIN;
        CREATE DATABASE #{DATABASE} OWNER #{ROLE};
        GRANT #{SUPERUSER} TO #{ROLE};
      SQL
      # Loopback and the suite's own network, and the socket for those who look on. `scram` becomes the real method
      # where a password is set.
      ACCESS = <<~CONF
        local all all trust
        local replication all trust
        host all all 127.0.0.1/32 trust
        host all all 10.77.0.0/16 trust
      CONF

      def initialize
        super(PRODUCT)
      end

      private

      def build
        # Log segments of 1 MB instead of 16: most of an empty data folder would be the log.
        @sandbox.run(Installation.program("initdb"), "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C",
                     "--wal-segsize=1", "--username=#{SUPERUSER}", "--pgdata=#{data}")
        # Without the server running: saves a start, a stop and a port.
        File.write(@sandbox.path("setup.sql"), SETUP)
        @sandbox.run(Installation.program("postgres"), "--single", "-F", "-c", "exit_on_error=on", "-D", data,
                     "postgres", input: @sandbox.path("setup.sql"), log: @sandbox.path("setup.log"))
        File.write(File.join(data, "pg_hba.conf"), ACCESS)
      end
    end
  end
end
