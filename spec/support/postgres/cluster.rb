# frozen_string_literal: true

require_relative "../servers/cluster"
require_relative "node"
require_relative "template"

module Support
  module Postgres
    # A primary and, if asked for, its standby.
    class Cluster < Servers::Cluster
      # @see Postgres.start
      def initialize(**options)
        super(PRODUCT, **options)
      end

      # Waits until the standby has replayed all that the primary has written so far.
      #
      # @param timeout [Numeric] seconds
      # @return [void]
      # @raise [DeadlineError]
      def wait_for_replay(timeout: 10)
        written = primary.sql("SELECT pg_current_wal_lsn()").first.first
        standby.observe do |connection|
          Support.wait_until(timeout:, message: "the standby replayed #{written}") do
            connection.exec("SELECT pg_last_wal_replay_lsn() >= '#{written}'").getvalue(0, 0) == "t"
          end
        end
      end

      private

      def start_primary
        Template.current.copy(@sandbox, "primary")
        require_password if @password
        node("primary").boot.tap { |primary| install_password(primary) if @password }
      end

      def start_standby
        @sandbox.run(Installation.program("pg_basebackup"), "-D", @sandbox.path("standby"), "-R", "-X", "stream",
                     "-c", "fast", "--no-sync", "-h", primary.socket_dir, "-p", primary.port.to_s, "-U", SUPERUSER)
        @standby = node("standby").boot
        wait_for_replay(timeout: Node::PATIENCE)
        @standby
      end

      def node(name)
        Node.new(name, @sandbox, settings: @settings, password: @password, **place(name))
      end

      # An orderly shutdown sends the standby all that was committed.
      def hand_over(old, heir)
        old.stop
        yield if block_given?
        heir.promote
        old.follow(heir)
      end

      # Over TCP only; the socket stays open to the observer and the standby.
      def require_password
        access = @sandbox.path("primary", "pg_hba.conf")
        File.write(access, File.read(access).gsub(/^(host .*) trust$/, '\1 scram-sha-256'))
      end

      def install_password(primary)
        primary.observe do |connection|
          connection.exec("ALTER ROLE #{ROLE} PASSWORD #{connection.escape_literal(@password)}")
        end
      end
    end
  end
end
