# frozen_string_literal: true

module Poolkeeper
  module Observed
    # Every adapter disconnects by way of AbstractAdapter, before its driver says goodbye. The server hangs up in
    # answer, and may be faster than the driver: it is no news then, and five connections that the application has
    # closed at once are no failed server.
    module Farewell
      def disconnect!
        begin
          Mirror._dropped(@poolkeeper_number) if @poolkeeper_number
        rescue InternalError => e
          Log.rescued("noting that a connection is closed", e)
        end
        super
      end
    end
  end
end
