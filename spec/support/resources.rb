# frozen_string_literal: true

require "fiddle"

module Support
  # What this process has of what can leak, as the kernel and the mirror say.
  module Resources
    MEMORY = 5 * 1024 * 1024
    # The mirror forgets owners that hold nothing when it knows of more than these.
    OWNERS = 1_025

    # Seconds until the figures stand still, or are what they were.
    PATIENCE = 20
    # Ruby keeps the kernel's thread of one that has ended for a while, name and all. These come and go: owners,
    # workers, and those that bear only a file's name; Ruby's own list tells how many of them are alive.
    TRANSIENT = /\A(owner \d|karafka\.worker.*|worker-\d+|.+\.rb.*)?\z/
    # Threads of the pool that `load_async` uses, which has as many as were ever needed at once.
    ASYNC = /\Aworker-\d+\z/

    Figures = Struct.new(:connections, :pools, :descriptors, :threads, :native, :memory) do
      def to_s
        "#{connections} connections and #{pools} pools in the mirror, #{descriptors} descriptors, " \
          "#{threads} threads of Ruby's, #{native} of the kernel's, #{(memory / 1024.0 / 1024.0).round(1)} MB"
      end
    end

    module_function

    # @return [Figures]
    def figures
      collect
      Figures.new(Poolkeeper::Core._sizes.first, Poolkeeper::Mirror._stats.size, Proc.fds.size,
                  Thread.list.count { |thread| !ASYNC.match?(thread.name.to_s) },
                  Proc.threads.values.grep_v(TRANSIENT).size, Proc.rss)
    end

    # @return [Figures] once they stand still
    def still
      last = nil
      Support.wait_until(timeout: PATIENCE, interval: 0.5, message: "the figures stand still") do
        before = last
        last = figures
        before && before.to_a.first(5) == last.to_a.first(5)
      end
      last
    end

    # What grows with each round grows in each part of them; the heap of a process with many examples grows by leaps.
    #
    # @param sizes [Array<Integer>] bytes at the start and after each part
    # @return [Integer] bytes, had all parts grown as the median one did
    def growth(sizes)
      parts = sizes.each_cons(2).map { |before, after| after - before }
      parts.sort[parts.size / 2] * parts.size
    end

    # Waits until the figures are those of the start; native threads of the kernel end a moment after Ruby's.
    #
    # @param before [Figures]
    # @raise [DeadlineError] where they do not become so
    def settle(before)
      after = nil
      told = lambda do
        "the figures are #{before}; they are #{after}, threads #{Proc.threads.values.tally}, descriptors #{Proc.fds}"
      end
      Support.wait_until(timeout: PATIENCE, interval: 0.25, message: told) { within?(before, after = figures) }
      after
    end

    # What nobody needs any more goes back to the kernel before it is weighed.
    def collect
      3.times { GC.start }
      libc = Fiddle.dlopen(nil)
      Fiddle::Function.new(libc["malloc_trim"], [Fiddle::TYPE_SIZE_T], Fiddle::TYPE_INT).call(0)
    rescue Fiddle::DLError
      # Not glibc.
      nil
    end

    def within?(before, after)
      after.to_a.first(3) == before.to_a.first(3) &&
        # One that lingered at the start may have ended since.
        after.threads <= before.threads && after.native <= before.native &&
        after.memory - before.memory <= MEMORY && Poolkeeper::Core._sizes[1] <= OWNERS
    end
    private_class_method :within?
  end
end
