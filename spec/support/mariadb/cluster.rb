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
        standby.observe do |client|
          says = -> { "the standby replayed #{written}; it says #{client.query("SHOW SLAVE STATUS", as: :hash).first}" }
          Support.wait_until(timeout:, message: says) do
            client.query("SELECT MASTER_GTID_WAIT('#{written}', 0.1)").first == ["0"]
          end
        end
      end

      private

      def start_primary
        node("primary").boot.tap { |primary| install_password(primary) if @password }
      end

      def start_standby
        @standby = node("standby", read_only: true).boot
        standby.follow(primary)
        await_connection
        wait_for_replay(timeout: Node::PATIENCE)
        standby
      end

      def await_connection
        standby.observe do |client|
          Support.wait_until(timeout: Node::PATIENCE, message: "the standby reached its primary") do
            status = client.query("SHOW SLAVE STATUS", as: :hash).first
            raise Error, "replication did not start: #{status["Last_IO_Error"]}" if status["Slave_IO_Running"] == "No"

            # It says "Yes" before the primary has answered, and names the primary's log once that has.
            status["Slave_IO_Running"] == "Yes" && !status["Master_Log_File"].empty?
          end
        end
      end

      def node(name, **more)
        Template.current.copy(@sandbox, name)
        Node.new(name, @sandbox, settings: { **@settings, **more }, password: @password, **place(name))
      end

      def hand_over(old, heir)
        old.read_only!(true)
        yield if block_given?
        wait_for_replay
        heir.promote
        old.follow(heir)
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
