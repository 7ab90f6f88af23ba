# frozen_string_literal: true

module Poolkeeper
  module Observed
    # What libpq knows of each session, and neither mysql2 nor Trilogy tells: whether a transaction is open on it, as
    # far as it was begun through ActiveRecord. ActiveRecord itself notes one that has begun a few lines after the
    # server has answered; whoever is interrupted in between would leave it to the next owner, whose writes would go
    # into it, and be lost with it.
    #
    # Noted is the driver's connection that it was begun on, for that one may end without a word, and the transaction
    # with it; {Farewell} forgets it.
    module Begun
      RAW = :@poolkeeper_begun

      def begin_db_transaction(...)
        super
      rescue ::ActiveRecord::ActiveRecordError
        refused = true
        raise
      ensure
        @poolkeeper_begun = Driver.raw(self) unless refused
      end

      def begin_isolated_db_transaction(...)
        super
      rescue ::ActiveRecord::ActiveRecordError
        refused = true
        raise
      ensure
        @poolkeeper_begun = Driver.raw(self) unless refused
      end

      def commit_db_transaction(...)
        value = super
        @poolkeeper_begun = nil
        value
      end

      def exec_rollback_db_transaction(...)
        value = super
        @poolkeeper_begun = nil
        value
      end

      # To be called with each adapter that is met.
      def self.follow(adapter)
        return if adapter.is_a?(self) || !defined?(::ActiveRecord::ConnectionAdapters::AbstractMysqlAdapter)

        type = ::ActiveRecord::ConnectionAdapters::AbstractMysqlAdapter
        type.prepend(self) if adapter.is_a?(type)
      end
    end
  end
end
