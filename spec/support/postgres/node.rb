# frozen_string_literal: true

require "uri"
require_relative "freezer"
require_relative "lifecycle"
require_relative "observer"
require_relative "sandbox"
require_relative "settings"

module Support
  module Postgres
    # One server, primary or standby. Its port stays the same from its first start to its end.
    class Node
      include Freezer
      include Lifecycle
      include Observer

      # @return [String] "primary" or "standby"
      attr_reader :name
      # @return [Integer]
      attr_reader :port

      # @param name [String] also of the data folder, which must exist
      # @param sandbox [Sandbox]
      # @param settings [Hash] for postgresql.conf
      # @param password [String, nil] of the role
      def initialize(name, sandbox, settings: {}, password: nil)
        @name = name
        @sandbox = sandbox
        @settings = settings
        @password = password
        @log = ServerLog.new(sandbox.path("#{name}.log"))
      end

      # @return [String]
      def host
        "127.0.0.1"
      end

      # @return [String] folder of the unix socket
      def socket_dir
        @sandbox.root
      end

      # @return [String] for libpq, sqlx, or ActiveRecord
      def url
        login = [ROLE, @password].compact.map { |part| URI.encode_www_form_component(part).gsub("+", "%20") }.join(":")
        "postgresql://#{login}@#{host}:#{port}/#{DATABASE}"
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

      # @return [String] the server's log without the observer's lines
      def log
        @log.text
      end

      # @return [String] what was logged during the block. The server logs when it gets to it: that a client has gone,
      #   for instance, a moment after it went. So wait for what is to be seen inside the block.
      def log_since
        offset = @log.size
        yield
        @log.text(offset)
      end

      # @return [String] "15.18" for instance
      def version
        psql("SHOW server_version").first.first[/\A\S+/]
      end

      private

      def data
        @sandbox.path(name)
      end

      def configuration
        Settings.new({ port:, unix_socket_directories: socket_dir, cluster_name: name }, @settings).to_s
      end
    end
  end
end
