# frozen_string_literal: true

require "objspace"

module Poolkeeper
  module Observed
    # What a driver's connection object tells without a round trip. `raw_connection` is never called: from 7.1 on it
    # marks the connection dirty.
    module Driver
      # Stands for "no socket": a connection that is not open. Such a one proves nothing of its server.
      NONE = -1
      # Stands for the socket of a driver that does not tell of it.
      UNTOLD = -2
      # libpq's transaction states: 0 idle, 1 active, 2 in a transaction, 3 in a failed one, 4 connection lost.
      IDLE = 0
      ACTIVE = 1
      BEGUN = 2
      LOST = 4
      # mysql2 has no such state; what it tells, and what {Begun} knows, is said in the same words.
      MYSQL = "Mysql2::Client"
      # The drivers whose `socket` is the number of a descriptor.
      SOCKETS = ["PG::Connection", MYSQL].freeze

      # What drivers raise when they are asked about a connection that is closed. By name, for they need not be there;
      # and nothing else is rescued, for it may be an interrupt on its way through.
      module Closed
        NAMES = %w[PG::ConnectionBad Mysql2::Error Mysql2::Error::ConnectionError].freeze

        def self.===(error)
          NAMES.include?(error.class.name)
        end
      end

      @drivers = {}.compare_by_identity

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

        # @return [Object, nil] the driver's own connection
        def raw(adapter)
          adapter.instance_variable_get(@variable)
        end

        # The driver is asked each time, and for `socket`, never for pg's `socket_io`: that one remembers a number which
        # libpq has closed, and which may be somebody else's socket by now.
        #
        # @return [Integer] the descriptor of the connection's socket, {NONE} or {UNTOLD}
        def descriptor(adapter)
          socket(raw(adapter))
        end

        # @return [Integer] the same, of the driver's own object
        def socket(raw)
          return raw.socket if driver(raw.class)

          raw ? UNTOLD : NONE
        rescue Closed
          NONE
        end

        # @return [Integer, nil] libpq's transaction state; nil where the driver cannot tell, or has nothing to tell of
        def state(adapter)
          raw = raw(adapter)
          return raw.transaction_status if raw.respond_to?(:transaction_status)

          if mysql?(raw)
            # Before 7.1 `disconnect!` leaves the client that it has closed where it was; each checkout asks the server.
            return (LOST if @lazy) if raw.closed?
            return ACTIVE if busy?(raw)
          end

          BEGUN if begun?(adapter, raw)
        rescue Closed
          nil
        end

        # Whether there is a connection that could be used as it is.
        def open?(adapter)
          raw = raw(adapter)
          raw && (!driver(raw.class) || socket(raw) != NONE) ? true : false
        end

        # Whether the driver has given the connection up by itself: there is no socket left to look at.
        def lost?(adapter)
          raw = raw(adapter)
          mysql?(raw) ? raw.closed? : state(adapter) == LOST
        end

        # Whether a driver that has no transaction state knows of nothing that speaks against its connection.
        def fine?(adapter, raw)
          !begun?(adapter, raw) && (!mysql?(raw) || !(raw.closed? || busy?(raw)))
        end

        # Whether a transaction is open or, with libpq, a query under way, as far as that is known without an effort.
        def left_open?(adapter, raw)
          return begun?(adapter, raw) unless raw.respond_to?(:transaction_status)

          state = raw.transaction_status
          state.positive? && state < LOST
        rescue Closed
          false
        end

        # Whether a thread is in the middle of a connect that may not be cut short: from mysql2 0.5.5 on a client whose
        # thread is killed there leaves its socket open for good.
        def connecting?(thread)
          stack = thread.backtrace_locations(0, 4) || []
          stack.any? { |place| place.base_label == "connect" && place.path.end_with?("mysql2/client.rb") }
        end

        # Whether the database lives in this process (SQLite). There is no server that could be dead, and a database in
        # memory would be lost with its connection.
        def in_process?(adapter)
          raw(adapter).respond_to?(:transaction_active?)
        end

        # Gets rid of a connection's socket without waiting and without connecting: the next use connects anew.
        #
        # Shutting down comes first: on 6.1 and 7.0 `disconnect!` deallocates statements over the wire and would wait
        # for ever on a silent server.
        def drop(adapter)
          number = Adapters.number(adapter)
          # So that its end, which is our own doing, is no hang-up.
          Mirror._dropped(number) if number
          shut_down(adapter)
          adapter.disconnect!
        end

        # Ends whatever waits for a connection's socket.
        def shut_down(adapter)
          with_socket(adapter) { |raw| Sockets._shut_down(raw.socket) }
        end

        # Looks at the socket of a lease on behalf of its owner, who may be waiting for its server.
        def refresh(adapter, number)
          with_socket(adapter) { |raw| Monitors._refresh(number, raw.socket) }
        end

        # @return [Array(Integer, Integer), nil] descriptor and identity of a connection's socket
        def identity(adapter)
          with_socket(adapter) { |raw| Sockets._identity(raw.socket) }
        end

        private

        # For a block that reads the descriptor's number and uses it without a method of Ruby's between the two: at the
        # return of one another thread may run, close the socket, and have its number given to another.
        def with_socket(adapter)
          raw = raw(adapter)
          yield raw if driver(raw.class)
        rescue Closed
          nil
        end

        # Whether a query is under way. The client refers to the thread (later the fiber) that waits for its answer, and
        # says so to nobody. In 0.5.3 (not in 0.5.7) a killed thread stays there for ever, and every later query is
        # refused.
        def busy?(client)
          objects = ObjectSpace.reachable_objects_from(client)
          # Without blocks, which would cost as much again.
          objects.any?(Thread) || objects.any?(Fiber)
        end

        def begun?(adapter, raw)
          !raw.nil? && raw.equal?(adapter.instance_variable_get(Begun::RAW))
        end

        def mysql?(raw)
          driver(raw.class).equal?(MYSQL)
        end

        # Remembered by class: a program has two or three of them.
        def driver(type)
          known = @drivers[type]
          return known unless known.nil?

          names = type.ancestors.map(&:name)
          @drivers[type] = SOCKETS.find { |name| names.include?(name) } || false
        end
      end
    end
  end
end
