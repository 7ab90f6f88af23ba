# frozen_string_literal: true

require_relative "postgres"

module Support
  # A PgBouncer in front of a PostgreSQL server: unprivileged, in a temporary folder, gone with this process.
  class Pgbouncer
    PROGRAM = "/usr/sbin/pgbouncer"
    USER = "poolkeeper"

    # @return [String]
    attr_reader :host
    # @return [Integer]
    attr_reader :port

    # @param node [Postgres::Node]
    # @param mode [Symbol] :session or :transaction
    def initialize(node, mode:)
      raise "there is no #{PROGRAM}; bin/setup installs it" unless File.executable?(PROGRAM)

      @host = node.host
      @port = Servers::Port.free(host)
      @sandbox = Servers::Sandbox.new(Postgres::PRODUCT)
      File.write(settings, text(node, mode))
      @process = @sandbox.spawn(PROGRAM, settings, log: log)
      Support.wait_until(timeout: 20, message: -> { "PgBouncer listens; it said: #{File.read(log)}" }) do
        !Servers::Port.refused?(port, host)
      end
    end

    # @return [String] "1.18.0" for instance
    def self.version
      IO.popen([PROGRAM, "--version"], &:read)[/[\d.]+/]
    end

    # @return [void]
    def close
      @sandbox.close
    end

    private

    def settings
      @sandbox.path("pgbouncer.ini")
    end

    def log
      @sandbox.path("pgbouncer.log")
    end

    def text(node, mode)
      <<~INI
        [databases]
        #{Postgres::DATABASE} = host=#{node.host} port=#{node.port} user=#{USER}
        [pgbouncer]
        listen_addr = #{host}
        listen_port = #{port}
        unix_socket_dir =
        auth_type = any
        pool_mode = #{mode}
        default_pool_size = 40
        ignore_startup_parameters = extra_float_digits
      INI
    end
  end
end
