# frozen_string_literal: true

require "active_record"
require_relative "sql"

module Support
  module Faults
    # Jobs on ActiveRecord's pools, writing and reading, with poolkeeper or (bare) with what is to be had without it.
    class Observed
      # Writes take turns: ActiveRecord's ways to write differ in what they send, and in what is repeated.
      WAYS = %i[create insert_all execute].freeze

      # Notes that it is in this thread's job that ActiveRecord connects.
      module Connecting
        def reconnect!(...)
          Thread.current[:connects] = true
          super
        end

        private

        def new_connection(...)
          Thread.current[:connects] = true
          super
        end
      end

      # @param settings [Hash] writer and reader (for establish_connection), bare
      def initialize(settings)
        @bare = settings[:bare]
        base = ::ActiveRecord::Base
        base.legacy_connection_handling = false if legacy?(base)
        base.configurations = { "default_env" => configurations(settings) }
        base.connects_to(database: { writing: :writer, reading: :reader })
        @model = Class.new(base) { self.table_name = "numbers" }
        @base = base
        # A thread that is killed while it loads a constant leaves none to the others.
        ::ActiveRecord.eager_load!
        adapters = ::ActiveRecord::ConnectionAdapters
        [adapters::AbstractAdapter, adapters::ConnectionPool].each { |type| type.prepend(Connecting) }
        Poolkeeper.observe unless @bare
      end

      # @return [void]
      def write(worker, number)
        @base.connected_to(role: :writing) { send(WAYS[number % WAYS.size], worker, number) }
      end

      # @return [void]
      def read(worker)
        @base.connected_to(role: :reading) { hold.select_value(Sql.count(worker)) }
      end

      # @param kind [Symbol] :read or :write
      # @return [void]
      def long(kind, seconds)
        @base.connected_to(role: kind == :read ? :reading : :writing) { hold.select_value(Sql.sleep(seconds)) }
      end

      # Takes and uses a connection of each pool, and keeps them.
      #
      # @return [void]
      def warm_up
        WAYS.size.times { |number| write(0, number) }
        %i[writing reading].each { |role| @base.connected_to(role: role) { hold.select_value(Sql.count(0)) } }
      end

      # Its drivers wait with what they have.
      #
      # @return [void]
      def wait; end

      # As Karafka's `error.occurred` and `worker.completed` would.
      #
      # @return [void]
      def failed(error)
        Poolkeeper.verify(error) unless @bare
      end

      # @return [void]
      def release
        return Poolkeeper.release unless @bare

        handler = @base.connection_handler
        roles_named?(handler) ? handler.clear_active_connections!(:all) : clear_by_role(handler)
      end

      private

      def configurations(settings)
        { "writer" => settings.fetch(:writer), "reader" => settings.fetch(:reader).merge(replica: true) }
          .transform_values { |configuration| configuration.transform_keys(&:to_s) }
      end

      def create(worker, number)
        @model.create!(worker: worker, number: number)
      end

      def insert_all(worker, number)
        @model.insert_all!([{ worker: worker, number: number }])
      end

      def execute(worker, number)
        hold.execute("INSERT INTO numbers (worker, number) VALUES (#{worker}, #{number})")
      end

      # It stays the thread's own until it is released.
      def hold
        @model.respond_to?(:lease_connection) ? @model.lease_connection : @model.connection
      end

      def roles_named?(handler)
        handler.method(:clear_active_connections!).arity != 0
      end

      def clear_by_role(handler)
        %i[writing reading].each { |role| @base.connected_to(role: role) { handler.clear_active_connections! } }
      end

      def legacy?(base)
        base.respond_to?(:legacy_connection_handling=) && !::ActiveRecord.respond_to?(:legacy_connection_handling)
      end
    end
  end
end
