# frozen_string_literal: true

module Poolkeeper
  # A connection of a native pool, in the hands of whoever holds it.
  #
  # Statements are prepared. PostgreSQL is asked first which types it wants in the place of the parameters, and each
  # value is written as that: an Integer goes to bigint, numeric or text alike. Where nothing tells the server the type,
  # as in `select $1`, it takes text. MySQL and MariaDB fit each value to its column themselves.
  #
  # SQLite stores a Time as "2026-11-22 10:11:12.345678" in UTC, a Date as "2026-11-22", true as 1, and a BigDecimal of
  # more than 15 digits as text; columns declared DATETIME, TIMESTAMP, DATE or BOOLEAN give such values back as what
  # they were. Its transactions take the lock for writing when they begin.
  #
  # On MySQL and MariaDB, CREATE, ALTER, DROP and their kin commit the transaction that they stand in.
  class Connection
    # @api private
    def initialize(pool, slot)
      @pool = pool
      @slot = slot
    end

    # Runs a statement and reads all of its rows.
    #
    # @param sql [String] with `$1`, `$2` ... on PostgreSQL, `?` on MySQL, and either on SQLite
    # @param parameters [Array<String, Integer, Float, BigDecimal, Time, Date, true, false, nil>]
    # @return [Array<Hash{Symbol => Object}>]
    # @raise [QueryError] where the server refuses the statement
    # @raise [ConnectionError] where the connection breaks: what was sent may have been done or not
    # @raise [ReadOnlyError] where the server takes no writes
    # @raise [TimeoutError] where it takes longer than `statement_timeout`
    # @raise [NotHeldError] where this connection is not held here
    def query(sql, *parameters)
      @pool._query(@slot, Owner.native, sql, parameters, false)
    end

    # Runs a statement and tells how many rows it changed.
    #
    # @param (see #query)
    # @return [Integer]
    # @raise (see #query)
    def execute(sql, *parameters)
      @pool._query(@slot, Owner.native, sql, parameters, true)
    end

    # Asks the server for a sign of life.
    #
    # @return [true]
    # @raise [ConnectionError, NotHeldError]
    def ping
      @pool._ping(@slot, Owner.native)
      true
    end

    # Runs the block in a transaction: committed where it ends by itself, rolled back on any other way out. Within a
    # transaction of its own it sets a savepoint.
    #
    # @yieldparam db [Connection]
    # @return [Object] the block's value
    # @raise what the block raises
    # @raise [ConnectionError] where the connection broke when it rolled back to the savepoint
    # @raise [QueryError] where a statement had failed and the block went on: the server commits nothing then
    def transaction
      owner = Owner.native
      # An interrupt that comes with the answer to BEGIN is let in where the rollback follows.
      Thread.handle_interrupt(Object => :on_blocking) do
        level = @pool._level(@slot, owner)
        begin
          value = Thread.handle_interrupt(Object => :immediate) do
            @pool._begin(@slot, owner)
            yield self
          end
          @pool._commit(@slot, owner, level)
          committed = true
          value
        ensure
          # A thread that is being killed does not wait for its rollback.
          @pool._roll_back(@slot, owner, level, Thread.current.status != "aborting") unless committed
        end
      end
    end

    # Nothing that could be a secret.
    def inspect
      "#<Poolkeeper::Connection of #{@pool.name}>"
    end
  end
end
