# frozen_string_literal: true

require "uri"
require_relative "../proc"
require_relative "freezer"
require_relative "lifecycle"
require_relative "log_file"
require_relative "sandbox"

module Support
  module Servers
    # One server, primary or standby. Its port stays the same from its first start to its end.
    class Node
      include Freezer
      include Lifecycle

      # @return [String] "primary" or "standby"
      attr_reader :name
      # @return [Integer]
      attr_reader :port
      # @return [String] where it listens
      attr_reader :host

      # @param name [String] also of the data folder, which must exist
      # @param sandbox [Sandbox]
      # @param settings [Hash] for the configuration file
      # @param password [String, nil] of the application's user
      # @param host [String] where it listens
      # @param port [Integer, nil] any that is free, unless given
      def initialize(name, sandbox, settings: {}, password: nil, host: Port::LOOPBACK, port: nil)
        @name = name
        @sandbox = sandbox
        @settings = settings
        @password = password
        @host = host
        @given = port
      end

      # @param path [String] file of SQL statements
      # @return [Array<Array<String, nil>>] rows of the last one
      def execute_file(path)
        sql(File.read(path))
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

      # @return [String] what the server says of itself: starts, ends, broken connections; PostgreSQL says all in one
      #   file
      def error_log
        output.raw.scrub
      end

      private

      def data
        @sandbox.path(name)
      end

      def login(user)
        [user, @password].compact.map { |part| URI.encode_www_form_component(part).gsub("+", "%20") }.join(":")
      end

      # The server is through with a connection a moment before the client's kernel knows of it. Sessions over the unix
      # socket have no port.
      def await_hang_up(backends)
        ports = backends.filter_map(&:client_port).select(&:positive?)
        Support.wait_until(message: "the ends of the connections from #{ports} have arrived") do
          Proc.established(ports, port).zero?
        end
      end

      # @param where [Hash] column => a value, or what a `when` would take: a pattern, a range; or a list of such
      def matching(backends, where)
        backends.select { |one| where.all? { |column, wanted| match?(one[column], wanted) } }
      end

      def match?(value, wanted)
        case value
        when *[wanted].flatten(1) then true
        else false
        end
      end
    end
  end
end
