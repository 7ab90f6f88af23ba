# frozen_string_literal: true

module Support
  module Stateful
    # What was written, as it has to be found at the end by another client.
    class Rows
      # Rows that are there from the beginning, and stay.
      FIXED = 10

      def initialize(world)
        @world = world
        @committed = 0
        item.insert_all(Array.new(FIXED) { |number| { n: number, worker: "fixed" } })
        world.cluster.wait_for_replay
      end

      # In a transaction block that is to be committed; {#committed} has to be told.
      def write
        item.create!(worker: "committed")
      end

      def committed(count)
        @committed += count
      end

      # In a transaction that nobody ends.
      def forget(adapter)
        adapter.execute("INSERT INTO items (worker) VALUES ('forgotten')")
      end

      # Where nobody can say what becomes of it.
      def try
        item.create!(worker: "interrupted")
      end

      # @return [Array<Integer>] how many of the fixed ones are found by two queries ahead of time
      def ahead
        Array.new(2) { item.where(worker: "fixed").load_async }.map { |relation| relation.to_a.size }
      end

      # @raise [Violation]
      def check
        expect("committed", @committed)
        expect("fixed", FIXED)
        expect("forgotten", 0)
      end

      private

      def expect(worker, wanted)
        found = @world.rows("worker = '#{worker}'")
        Stateful.violated("#{found} rows are #{worker}, and not #{wanted}") unless found == wanted
      end

      def item
        Models::Item
      end
    end
  end
end
