# frozen_string_literal: true

module Support
  module Stateful
    # The mirror as it stands: which connection (by number) is whose (by number).
    module Mirror
      module_function

      # It keeps them by connection and by owner, and the two have to agree. They are asked for one after the other, and
      # the poolkeeper thread may tidy in between: so once more.
      #
      # @param owners [Array<Integer>] to be asked about, beside those that it says it knows
      # @return [Array<Array(Integer, Integer)>] pairs of connection and owner
      def leases(owners)
        by_connection = pairs = nil
        2.times do
          by_connection = Poolkeeper::Mirror._stats.flat_map { |pool| pool[:leases].map { |lease| lease[:owner] } }
          pairs = pairs(owners | by_connection)
          return pairs if agree?(by_connection.tally, pairs.map(&:last).tally)
        end
        Stateful.violated("the mirror has leases of #{by_connection} by connection, and by owner #{pairs}")
      end

      def pairs(owners)
        owners.flat_map { |owner| Poolkeeper::Mirror._leases(owner).map { |number| [number, owner] } }
      end
      private_class_method :pairs

      # Those of a pool that is gone are no longer told by connection.
      def agree?(by_connection, by_owner)
        by_connection.all? { |owner, count| count <= by_owner.fetch(owner, 0) }
      end
      private_class_method :agree?

      # @return [Integer, nil] a connection's number, which it carries itself
      def number(adapter)
        adapter.instance_variable_get(:@poolkeeper_number)
      end
    end
  end
end
