# frozen_string_literal: true

require_relative "../servers/template"
require_relative "installation"
require_relative "settings"

module Support
  module Mariadb
    # A data folder fresh from mariadb-install-db with the users and the database in it.
    class Template < Servers::Template
      # Everybody but these is removed. The server runs without rights until they are flushed.
      SETUP = <<~SQL.freeze
        DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';
        DELETE FROM mysql.proxies_priv;
        FLUSH PRIVILEGES;
        CREATE USER #{SUPERUSER}@localhost;
        GRANT ALL PRIVILEGES ON *.* TO #{SUPERUSER}@localhost WITH GRANT OPTION;
        CREATE USER #{REPLICATOR};
        GRANT REPLICATION SLAVE ON *.* TO #{REPLICATOR};
        CREATE DATABASE #{DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
        CREATE USER #{ROLE};
        GRANT ALL PRIVILEGES ON #{DATABASE}.* TO #{ROLE};
      SQL

      def initialize
        super(PRODUCT)
      end

      private

      def build
        # What shapes the files, or makes them faster.
        shape = Settings::DEFAULTS.slice(:innodb_log_file_size, :innodb_buffer_pool_size, :innodb_flush_method)
        options = { datadir: data, tmpdir: @sandbox.root, **shape }.map { |name, value| "--#{name}=#{value}" }
        @sandbox.run(Installation.program("mariadb-install-db"), "--no-defaults", "--skip-test-db",
                     "--auth-root-authentication-method=normal", *options)
        # Without the server running: saves a start, a stop and a port.
        File.write(@sandbox.path("setup.sql"), SETUP)
        @sandbox.run(Installation.program("mariadbd"), "--no-defaults", "--bootstrap", *options,
                     input: @sandbox.path("setup.sql"), log: @sandbox.path("setup.log"))
      end
    end
  end
end
