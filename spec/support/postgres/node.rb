# frozen_string_literal: true

require_relative "../servers/node"
require_relative "installation"
require_relative "observer"
require_relative "settings"

module Support
  module Postgres
    # One server, primary or standby.
    class Node < Servers::Node
      include Observer

      # How PostgreSQL is asked to shut down.
      SIGNALS = { smart: :TERM, fast: :INT, immediate: :QUIT }.freeze

      def initialize(name, sandbox, **options)
        super
        @log = ServerLog.new(sandbox.path("#{name}.log"))
      end

      # @return [String] folder of the unix socket
      def socket_dir
        # Its file is named after the port, which nodes at different addresses share.
        host == Servers::Port::LOOPBACK ? @sandbox.root : @sandbox.path("#{name}-socket")
      end

      # @return [String] for libpq, sqlx, or ActiveRecord
      def url
        "postgresql://#{login(ROLE)}@#{host}:#{port}/#{DATABASE}"
      end

      # @example
      #   ActiveRecord::Base.establish_connection(node.config(pool: 5))
      #
      # @return [Hash{Symbol => Object}] for establish_connection
      def config(**more)
        { adapter: "postgresql", host:, port:, database: DATABASE, username: ROLE, password: @password }
          .merge(more)
      end

      # @return [Hash{Symbol => Object}] the same over the unix socket
      def socket_config(**more)
        config(host: socket_dir, **more)
      end

      # @return [String] "15.18" for instance
      def version
        sql("SHOW server_version").first.first[/\A\S+/]
      end

      # @param pid [Integer] of one of this node's backends
      # @return [void]
      def freeze_backend(pid)
        halt([child(pid)])
      end

      # @param pid [Integer] of one of this node's backends
      # @return [void]
      def thaw_backend(pid)
        child(pid).signal(:CONT)
      end

      # From now on it takes TLS connections too.
      #
      # @param certificates [Certificates]
      # @return [self]
      def take_tls(certificates)
        owner = File.stat(data)
        { "server.crt" => certificates.certificate, "server.key" => certificates.key }.each do |name, path|
          own = File.join(data, name)
          File.write(own, File.read(path), perm: 0o600)
          File.chown(owner.uid, owner.gid, own)
        end
        sql("ALTER SYSTEM SET ssl = on")
        sql("SELECT pg_reload_conf()")
        await("#{name} takes TLS connections") { sql("SHOW ssl") == [["on"]] }
        self
      end

      # Makes a standby a primary of its own.
      #
      # @return [self]
      def promote
        sql("SELECT pg_promote(true, #{PATIENCE})")
        await("#{name} left recovery") { sql("SELECT pg_is_in_recovery()") == [["f"]] }
        self
      end

      # Starts it, while it is stopped, as the standby of another node.
      #
      # @param leader [Node]
      # @return [self]
      def follow(leader)
        conninfo = "host=#{leader.socket_dir} port=#{leader.port} user=#{SUPERUSER}"
        @settings = { **@settings, primary_conninfo: conninfo }
        configure
        File.write(File.join(data, "standby.signal"), "")
        start
      end

      private

      def signals
        SIGNALS
      end

      def output
        @log
      end

      def command
        [Installation.program("postgres"), "-D", data]
      end

      def configure
        @sandbox.run("mkdir", "-p", socket_dir) unless File.directory?(socket_dir)
        own = { port:, listen_addresses: host, unix_socket_directories: socket_dir, cluster_name: name }
        settings = Settings.new(own, @settings)
        File.write(File.join(data, "postgresql.conf"), settings.to_s)
      end

      # The postmaster says so in its pid file, where pg_ctl looks too. A look costs no connection and no log line.
      def ready?(_said)
        lines = File.readlines(File.join(data, "postmaster.pid"), chomp: true)
        lines[0].to_i == @server.pid && lines[7].to_s.strip == "ready"
      rescue Errno::ENOENT
        false
      end

      # Never signals a pid that is not ours, whatever a test passes.
      def child(pid)
        Servers::Processes.children(server!.pid).find { |process| process.pid == pid } ||
          raise(Error, "process #{pid} is no backend of #{name} (#{self.pid})")
      end
    end
  end
end
