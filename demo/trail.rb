# frozen_string_literal: true

module Demo
  # The audit trail: what a batch leaves in the table `audit`, through a native pool of poolkeeper, when its orders are
  # committed. A batch succeeds only with its row: so one that comes again may leave a second, and none leaves nothing.
  # For consumers whose constants say how the row is written (AUDIT), and for how long the transaction stays open.
  module Trail
    # Fewer than there are workers, so that some wait.
    SIZE = 3
    # What its sessions are called, where the server is told.
    APPLICATION = "demo audit"

    class << self
      # @return [Reporter, nil] hears of each write, and knows nothing of what came of it in the database
      attr_accessor :reporter

      # @param consumer [Support::KarafkaConsumer]
      # @return [Array<Integer>] the batch by its partition, its first and last offset and the number of its messages
      def batch(consumer)
        messages = consumer.messages
        [consumer.partition, messages.first.offset, messages.last.offset, messages.size]
      end

      # @param event [Hash] a failure, from {Reporter}
      # @return [Boolean] whether a native pool has raised it, which nothing but the trail uses
      def failed?(event)
        event[:links].first[:class].start_with?("Poolkeeper::")
      end
    end

    private

    def leave_a_trail
      begun = Support.now
      begin
        leave_a_row
      rescue Poolkeeper::Error => e
        Trail.reporter&.tell("untrailed", begun:, at: Support.now, error: e.class.name)
        raise
      end
      Trail.reporter&.tell("trailed", begun:, at: Support.now)
    end

    def leave_a_row
      Poolkeeper[:audit].with do |db|
        db.transaction do
          db.execute(self.class::AUDIT, topic.name, *Trail.batch(self), Time.now)
          sleep(self.class::AUDIT_WORK)
        end
      end
    end
  end
end
