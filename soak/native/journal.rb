# frozen_string_literal: true

module Soak
  module Native
    # What a worker knows of its rows: a file with a letter for each number, so that no memory grows by it, and no end
    # of the thread loses it.
    class Journal
      # Begun, and nothing heard since: the row may be there or not.
      OPEN = "o"
      # Confirmed: it must be there.
      DONE = "d"
      # Never committed: it must not be there.
      VOID = "v"

      # @param folder [String]
      # @param worker [Integer]
      def initialize(folder, worker)
        @file = File.open(File.join(folder, "rows-#{worker}"), "w+b")
        @next = 0
      end

      # @param letter [String] what is known of the row if nothing more is heard
      # @return [Integer] the number of a row that is about to be written
      def begin(letter = OPEN)
        number = @next
        @next += 1
        @file.pwrite(letter, number)
        number
      end

      # @param numbers [Array<Integer>] whose write was confirmed
      # @return [void]
      def done(*numbers)
        numbers.each { |number| @file.pwrite(DONE, number) }
      end

      # @return [String] the letters; an end between two steps leaves a NUL, for a number that was never used
      def letters
        @file.pread(@file.size, 0)
      rescue EOFError
        ""
      end

      # @return [void]
      def close
        @file.close
      end
    end
  end
end
