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

      def begin_db_transaction(*arguments)
        Begun.note(self) { super(*arguments) }
      end

      def begin_isolated_db_transaction(*arguments)
        Begun.note(self) { super(*arguments) }
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

      class << self
        # To be called with each adapter that is met.
        def follow(adapter)
          return if adapter.is_a?(self) || !defined?(::ActiveRecord::ConnectionAdapters::AbstractMysqlAdapter)

          type = ::ActiveRecord::ConnectionAdapters::AbstractMysqlAdapter
          type.prepend(self) if adapter.is_a?(type)
        end

        # However the beginning ends, unless the driver says that there was none.
        def note(adapter)
          yield
        rescue ::ActiveRecord::ActiveRecordError
          refused = true
          raise
        ensure
          adapter.instance_variable_set(RAW, Driver.raw(adapter)) unless refused
        end
      end
    end
  end
end
