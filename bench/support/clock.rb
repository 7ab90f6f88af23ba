# frozen_string_literal: true

module Bench
  # Times and what becomes of many of them.
  module Clock
    module_function

    # @return [Float] seconds on a clock that all processes of a machine share
    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end

    # What one turn of the block costs this process in time on a core: waiting for a core, which others keep busy, is no
    # part of it. Garbage that earlier rounds left is collected before; what the turns leave is part of their price.
    #
    # @param turns [Integer]
    # @return [Float] nanoseconds
    def per_turn(turns)
      GC.start
      started = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID, :nanosecond)
      index = 0
      while index < turns
        yield
        index += 1
      end
      (Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID, :nanosecond) - started).fdiv(turns)
    end

    # @param values [Array<Numeric>]
    # @return [Numeric] the middle one: a round that was disturbed by something else does not move it
    def median(values)
      sorted = values.sort
      middle = sorted.size / 2
      sorted.size.odd? ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2.0
    end

    # @param values [Array<Numeric>]
    # @return [Numeric] that of the quietest tenth: what rounds cost while nobody else used the cores and their caches
    def quiet(values)
      values.sort[values.size / 10]
    end

    # @param values [Array<Numeric>]
    # @return [String] the middle half: how far rounds lay apart
    def spread(values, digits = 0)
      sorted = values.sort
      quarter = sorted.size / 4
      format("%.#{digits}f to %.#{digits}f", sorted[quarter], sorted[-1 - quarter])
    end
  end
end
