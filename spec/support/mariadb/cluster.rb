# frozen_string_literal: true

require_relative "../servers/cluster"
require_relative "node"
require_relative "template"

module Support
  module Mariadb
    # A primary and, if asked for, its replica. Both begin as copies of the template, so that the primary's log is all
    # that the replica lacks.
    class Cluster < Servers::Cluster
      # @see Mariadb.start
      def initialize(**options)
        super(PRODUCT, **options)
      end

      # Waits until the standby has replayed all that the primary has written so far.
      #
      # @param timeout [Numeric] seconds
      # @return [void]
      # @raise [DeadlineError]
      def wait_for_replay(timeout: 10)
        written = primary.sql("SELECT @@gtid_binlog_pos").first.first
        waited = standby.sql("SELECT MASTER_GTID_WAIT('#{written}', #{timeout})").first.first
        return if waited == "0"

        status = standby.observe { |client| client.query("SHOW SLAVE STATUS", as: :hash).first }
        raise DeadlineError, "not within #{timeout} s: the standby replayed #{written}; it says #{status}"
      end

      private

      def start_primary
        node("primary").boot.tap { |primary| install_password(primary) if @password }
      end

      def start_standby
        @standby = node("standby", read_only: true).boot
        standby.sql(<<~SQL)
          CHANGE MASTER TO MASTER_HOST = '#{primary.host}', MASTER_PORT = #{primary.port},
            MASTER_USER = '#{REPLICATOR}', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1, MASTER_SSL = 0,
            MASTER_SSL_VERIFY_SERVER_CERT = 0;
          START SLAVE
        SQL
        wait_for_replay(timeout: Node::PATIENCE)
        standby
      end

      def node(name, **more)
        Template.current.copy(@sandbox, name)
        Node.new(name, @sandbox, settings: { **@settings, **more }, password: @password)
      end

      # Asked of the application only, not of the observer.
      def install_password(primary)
        primary.observe do |client|
          client.query("ALTER USER #{ROLE} IDENTIFIED BY '#{client.escape(@password)}'")
        end
      end
    end
  end
end
