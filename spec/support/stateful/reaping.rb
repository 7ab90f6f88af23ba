# frozen_string_literal: true

module Support
  module Stateful
    # ActiveRecord takes what a dead thread has left from its pool and, where it does not answer a query (its server
    # process was ended, or an error has ended its transaction), leaves it open to the collector. Here it is closed at
    # once, so that sessions can be counted without waiting for that. Also for reaps that a checkout begins.
    module Reaping
      def reap
        left = connections.select { |adapter| adapter.in_use? && !adapter.owner.alive? }
        super.tap { (left - connections).each(&:disconnect!) }
      end
    end
  end
end
