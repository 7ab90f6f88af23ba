# frozen_string_literal: true

require_relative "../servers/node"
require_relative "general_log"
require_relative "installation"
require_relative "observer"
require_relative "settings"

module Support
  module Mariadb
    # One server, primary or standby.
    class Node < Servers::Node
      include Observer

      # MariaDB knows one orderly shutdown. The other ends it as its own crash would: it recovers when it starts.
      SIGNALS = { fast: :TERM, immediate: :KILL }.freeze
      READY = "ready for connections."

      def initialize(name, sandbox, **options)
        super
        @log = GeneralLog.new(sandbox.path("#{name}.log"))
        @errors = Servers::LogFile.new(sandbox.path("#{name}.err"))
      end

      # @return [String] path of the unix socket
      def socket
        @sandbox.path("#{name}.sock")
      end

      # @return [String] for ActiveRecord
      def url
        "mysql2://#{login(ROLE)}@#{host}:#{port}/#{DATABASE}"
      end

      # @example
      #   ActiveRecord::Base.establish_connection(node.config(pool: 5))
      #
      # @return [Hash{Symbol => Object}] for establish_connection
      def config(**more)
        { adapter: "mysql2", host:, port:, database: DATABASE, username: ROLE, password: @password,
          encoding: "utf8mb4" }.merge(more)
      end

      # @return [Hash{Symbol => Object}] the same over the unix socket
      def socket_config(**more)
        config(**more).except(:host, :port).merge(socket:)
      end

      # @return [String] "10.11.19" for instance
      def version
        sql("SELECT VERSION()").first.first[/\A[^-]+/]
      end

      # MariaDB's connections are threads of one process, and threads cannot be stopped one by one from outside: this
      # freezes the whole server.
      #
      # @param pid [Integer] of one of this node's connections
      # @return [void]
      def freeze_backend(pid)
        raise Error, "#{pid} is no backend of #{name} (#{self.pid})" unless backends.map(&:pid).include?(pid)

        freeze
      end

      # @see freeze_backend
      # @return [void]
      def thaw_backend(_pid)
        thaw
      end

      # Makes a standby a primary of its own.
      #
      # @return [self]
      def promote
        sql("STOP SLAVE; RESET SLAVE ALL")
        read_only!(false)
        self
      end

      # Makes it the replica of another node, from what it has of that one's log on.
      #
      # @param leader [Node]
      # @return [self]
      def follow(leader)
        sql(<<~SQL)
          SET GLOBAL gtid_slave_pos = @@gtid_current_pos;
          CHANGE MASTER TO MASTER_HOST = '#{leader.host}', MASTER_PORT = #{leader.port},
            MASTER_USER = '#{REPLICATOR}', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1, MASTER_SSL = 0,
            MASTER_SSL_VERIFY_SERVER_CERT = 0;
          START SLAVE
        SQL
        self
      end

      private

      def signals
        SIGNALS
      end

      def output
        @errors
      end

      def command
        [Installation.program("mariadbd"), "--defaults-file=#{configuration_file}"]
      end

      def configuration_file
        @sandbox.path("#{name}.cnf")
      end

      def configure
        own = { port:, bind_address: host, socket:, datadir: data, tmpdir: @sandbox.root,
                pid_file: @sandbox.path("#{name}.pid"), general_log_file: @log.path,
                server_id: name == "primary" ? 1 : 2 }
        File.write(configuration_file, Settings.new(own, @settings).to_s)
      end

      def ready?(said)
        said.include?(READY)
      end
    end
  end
end
