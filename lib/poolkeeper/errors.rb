# frozen_string_literal: true

module Poolkeeper
  # Base class of all exceptions of this gem.
  class Error < StandardError
    # @return [String, nil] the name of the pool it happened in
    attr_reader :pool
  end

  # Raised when an option is unknown or has a value it cannot take. The message names the option and what it takes.
  class ConfigurationError < Error; end

  # Raised by {Poolkeeper.verify!} when a pool does not give a connection that answers; its cause is then the error of
  # ActiveRecord or the driver, where there was one. Raised by native pools when a connection cannot be had, or breaks.
  class ConnectionError < Error
    # @return [Symbol, nil] what it says about the server, as {Poolkeeper.verify} tells it; nil where nothing
    attr_reader :fault
    # @return [String, nil] the server's SQLSTATE
    attr_reader :sqlstate
    # @return [Integer, nil] the server's error number (MySQL)
    attr_reader :errno
  end

  # Raised at once by native pools while their server cannot be reached. One prober tries in the background.
  class HostDownError < ConnectionError; end

  # Raised by native pools when the server takes no writes: it was demoted, or is a replica.
  class ReadOnlyError < ConnectionError; end

  # Raised when a step of a native pool took longer than it may.
  class TimeoutError < Error
    # @return [Symbol] :wait, :query or :drain
    attr_reader :step
  end

  # Raised when a server, or its driver, refuses a statement.
  class QueryError < Error
    # @return [String, nil] the server's SQLSTATE
    attr_reader :sqlstate
    # @return [Integer, nil] the server's error number (MySQL)
    attr_reader :errno
  end

  # Raised when a connection is used that is not held here: after it went back, from another thread, or after a fork.
  class NotHeldError < Error; end

  # Raised by a native pool that was closed.
  class PoolClosedError < Error; end

  # Raised by {Events#subscribe} for the name of an event that does not exist.
  class EventNotRegistered < Error; end

  # Raised when the Rust core failed unexpectedly; the pools remain usable.
  class InternalError < Error; end
end
