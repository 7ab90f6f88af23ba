# frozen_string_literal: true

module Poolkeeper
  module Observed
    # How leases are learnt from adapters that verify lazily (ActiveRecord 7.1 and later): their pool calls `clean!` on
    # each connection that it lends, and `expire` on each that comes back. The public callbacks would tell the same, at
    # the price of a catch, two lambdas and three objects each time: two empty ones cost more than all of this.
    #
    # Everything is written out, and variables are read where they are the adapter's own: the same by way of {Callbacks}
    # and {Driver} costs twice as much.
    module Hooks
      # Before ActiveRecord looks at a connection it lends, as {Callbacks.before}.
      def clean!
        begin
          if (number = @poolkeeper_number)
            look = Mirror._checkout(number, @owner.object_id, Thread.current[:poolkeeper_fiber] || Owner.fiber)
            raw = @raw_connection
            fine = look.zero? && @transaction_manager.open_transactions.zero? &&
                   (raw.respond_to?(:transaction_status) ? raw.transaction_status.zero? : Driver.fine?(self, raw))
          end
          Callbacks.doubt(self, number, look || Callbacks::UNKNOWN) unless fine
          seen = true
        rescue Driver::Closed
          seen = Callbacks.closed(self)
        rescue InternalError => e
          seen = Callbacks.unanswered(self, number, e)
        ensure
          # Interrupted, as in {Callbacks.before}.
          Callbacks.doubt(self, @poolkeeper_number, nil) unless seen
        end
        super
      end

      # After a connection went back, under the pool's lock, as {Callbacks.after}. From 8.1 on it takes an argument;
      # passed through as a list it would be an object each time.
      def expire(update_idle = (untold = true))
        untold ? super() : super
        begin
          if @poolkeeper_number
            Callbacks.left_open(self) if Driver.left_open?(self, @raw_connection)
            Mirror._checkin(@poolkeeper_number, Driver.socket(@raw_connection))
          end
        rescue InternalError => e
          Log.rescued("looking at a connection at checkin", e)
        end
        seen = true
      ensure
        Callbacks.queue(self) unless seen
      end
    end
  end
end
