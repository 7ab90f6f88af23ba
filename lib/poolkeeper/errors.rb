# frozen_string_literal: true

module Poolkeeper
  # Base class of all exceptions of this gem.
  class Error < StandardError; end

  # Raised when an option is unknown or has a value it cannot take. The message names the option and what it takes.
  class ConfigurationError < Error; end

  # Raised by {Poolkeeper.verify!} when a pool does not give a connection that answers. Its cause is the error of
  # ActiveRecord or the driver, where there was one.
  class ConnectionError < Error; end

  # Raised by {Events#subscribe} for the name of an event that does not exist.
  class EventNotRegistered < Error; end

  # Raised when the Rust core failed unexpectedly; the pools remain usable.
  class InternalError < Error; end
end
