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
      # What drivers raise when they are asked about a connection that is closed.
      CLOSED = %w[PG::ConnectionBad Mysql2::Error].freeze

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
          raw = adapter.instance_variable_get(@variable)
          return NONE unless raw.respond_to?(:socket)

          number = raw.socket
          number.is_a?(Integer) ? number : NONE
        rescue StandardError => e
          Log.rescued("asking for a socket", Interrupts.pass(e)) unless CLOSED.include?(e.class.name)
          NONE
        end

        # @return [Integer, nil] libpq's transaction state; nil where the driver cannot tell
        def state(adapter)
          raw = adapter.instance_variable_get(@variable)
          raw.transaction_status if raw.respond_to?(:transaction_status)
        rescue StandardError => e
          # Closed by `disconnect!`: there is nothing left to tell of.
          Log.rescued("asking for a transaction", Interrupts.pass(e)) unless CLOSED.include?(e.class.name)
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
      end
    end
  end
end
