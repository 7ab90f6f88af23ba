# frozen_string_literal: true

module Poolkeeper
  module Observed
    # Every adapter disconnects by way of AbstractAdapter, before its driver says goodbye.
    #
    # The server hangs up in answer, and may be faster than the driver: it is no news then, and five connections that
    # the application has closed at once are no failed server. And in a child that was forked in C the goodbye would be
    # said in the parent's name: the core starts clean first, whichever of its entries is called.
    module Farewell
      def disconnect!
        @poolkeeper_begun = nil
        begin
          @poolkeeper_number ? Mirror._dropped(@poolkeeper_number) : Core._look
        rescue InternalError => e
          Log.rescued("noting that a connection is closed", e)
        end
        super
      end
    end
  end
end
