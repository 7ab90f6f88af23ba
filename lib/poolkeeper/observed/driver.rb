# frozen_string_literal: true

module Poolkeeper
  module Observed
    # What a driver's connection object tells without a round trip. `raw_connection` is never called: from 7.1 on it
    # marks the connection dirty.
    module Driver
      # Stands for "no socket": a connection that is not open, or a driver without one.
      NONE = -1
      # libpq's transaction states: 0 idle, 1 active, 2 in a transaction, 3 in a failed one, 4 connection lost.
      IDLE = 0
      LOST = 4
      # The drivers whose `socket` is the number of a descriptor.
      SOCKETS = %w[PG::Connection Mysql2::Client].freeze

      # What drivers raise when they are asked about a connection that is closed. By name, for they need not be there;
      # and nothing else is rescued, for it may be an interrupt on its way through.
      module Closed
        NAMES = %w[PG::ConnectionBad Mysql2::Error Mysql2::Error::ConnectionError].freeze

        def self.===(error)
          NAMES.include?(error.class.name)
        end
      end

      @sockets = {}.compare_by_identity

      class << self
        # To be asked once ActiveRecord is there: adapters that verify lazily (7.1 and later) renamed the variable.
        def follow(abstract_adapter)
          @lazy = abstract_adapter.method_defined?(:clean!)
          @variable = @lazy ? :@raw_connection : :@connection
        end

        # Whether a connection without a socket connects by itself when it is used.
        def lazy?
          @lazy
        end

        # The driver is asked each time, and for `socket`, never for pg's `socket_io`: that one remembers a number which
        # libpq has closed, and which may be somebody else's socket by now.
        #
        # @return [Integer] the descriptor of the connection's socket, or {NONE}
        def descriptor(adapter)
          socket(adapter.instance_variable_get(@variable))
        end

        # @return [Integer] the same, of the driver's own object
        def socket(raw)
          socket?(raw.class) ? raw.socket : NONE
        rescue Closed
          NONE
        end

        # @return [Integer, nil] libpq's transaction state; nil where the driver cannot tell, or has nothing to tell of
        def state(adapter)
          raw = adapter.instance_variable_get(@variable)
          raw.transaction_status if raw.respond_to?(:transaction_status)
        rescue Closed
          nil
        end

        # Whether the database lives in this process (SQLite). There is no server that could be dead, and a database in
        # memory would be lost with its connection.
        def in_process?(adapter)
          adapter.instance_variable_get(@variable).respond_to?(:transaction_active?)
        end

        # Gets rid of a connection's socket without waiting and without connecting: the next use connects anew.
        #
        # Shutting down comes first: on 6.1 and 7.0 `disconnect!` deallocates statements over the wire and would wait
        # for ever on a silent server.
        def drop(adapter)
          Sockets._shut_down(descriptor(adapter))
          adapter.disconnect!
          number = Adapters.number(adapter)
          Mirror._dropped(number) if number
        end

        private

        # Remembered by class: a program has two or three of them.
        def socket?(type)
          known = @sockets[type]
          return known unless known.nil?

          @sockets[type] = type.ancestors.any? { |ancestor| SOCKETS.include?(ancestor.name) }
        end
      end
    end
  end
end
