# frozen_string_literal: true

require "active_record"

module Demo
  # The application's models: written on the primary, read from the standby.
  class Record < ActiveRecord::Base
    self.abstract_class = true

    # @param databases [Hash{Symbol => Hash}] configurations by name: primary and replica
    def self.connect(databases)
      follow_railtie
      ActiveRecord::Base.configurations = { ActiveRecord::ConnectionHandling::DEFAULT_ENV.call => databases }
      connects_to database: { writing: :primary, reading: :replica }
    end

    # Until 7.0 each role may have a handler of its own, and Rails is who says that the first is for writing.
    def self.follow_railtie
      base = ActiveRecord::Base
      return unless base.respond_to?(:legacy_connection_handling) && base.legacy_connection_handling

      base.connection_handlers = { base.writing_role => base.default_connection_handler }
    end
    private_class_method :follow_railtie

    # On the base class, as ActiveRecord 6.1 takes it nowhere else.
    def self.from_standby(&block)
      ActiveRecord::Base.connected_to(role: :reading, &block)
    end

    # Takes a connection and does not give it back: what `lease_connection` does by name, and before 7.2 each
    # `connection`.
    def self.keep_connection
      respond_to?(:lease_connection) ? lease_connection : connection
    end

    # @return [Hash{String => ActiveRecord::ConnectionAdapters::ConnectionPool}] by role
    def self.pools
      { "writing" => connection_pool, "reading" => from_standby { connection_pool } }
    end
  end

  class Customer < Record
  end

  class Order < Record
  end

  class Audit < Record
  end
end
