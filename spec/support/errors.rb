# frozen_string_literal: true

module Support
  # Errors as a rescue clause gets them.
  module Errors
    # @return [Boolean] whether a gem that the suite can do without is here
    def self.loadable?(feature)
      require feature
      true
    rescue LoadError
      false
    end

    # With a backtrace, and what was being handled as its cause.
    def raised(error, cause: nil)
      raise error, cause: cause
    rescue Exception => e # rubocop:disable Lint/RescueException
      e
    end
  end
end
