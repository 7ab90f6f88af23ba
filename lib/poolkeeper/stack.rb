# frozen_string_literal: true

module Poolkeeper
  # Where a connection was taken: kept as Ruby has it, and made into words only when it is told.
  #
  # @api private
  module Stack
    # So many frames at most are kept of a lease.
    DEPTH = 100
    # So many stand in a log line.
    SHOWN = 3
    OWN = "#{__dir__}/".freeze
    # What stands between whoever asked for a connection and the place where he gets it.
    POOL = %r{active_record/connection_(?:handling|adapters/)|
              active_support/(?:callbacks|concurrency)|/monitor\.rb\z|\A<internal:}x
    FRAMEWORK = %r{/active_(?:record|support|model)/|\A<internal:}
    private_constant :OWN, :POOL, :FRAMEWORK

    class << self
      # @return [Array<Thread::Backtrace::Location>] the stack of whoever calls the caller
      def take
        caller_locations(2, DEPTH)
      end

      # @return [Array<String>, nil] from whoever asked for the connection on; nil where nobody has kept it
      def lines(stack)
        return unless stack

        lines = stack.drop_while { |location| between?(location.path.to_s) }
        lines = stack if lines.empty?
        lines.map { |location| location.to_s.encode("UTF-8", invalid: :replace, undef: :replace).scrub("?") }
      end

      # @return [String] the first frames, of the application where there are any
      def brief(lines)
        own = lines.grep_v(FRAMEWORK)
        (own.empty? ? lines : own).first(SHOWN).join(" < ")
      end

      private

      def between?(path)
        path.start_with?(OWN) || POOL.match?(path)
      end
    end
  end
end
