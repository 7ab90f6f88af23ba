# frozen_string_literal: true

module Support
  # A small fiber scheduler: fibers that wait for a descriptor or for time, on one thread. For specs; it leaves out what
  # they do not need.
  class Scheduler
    def initialize
      @readable = {}
      @writable = {}
      @waiting = {}
      @ready = Queue.new
      @blocked = 0
      @urgent = IO.pipe
    end

    def run
      turn until @readable.empty? && @writable.empty? && @waiting.empty? && @blocked.zero? && @ready.empty?
    end

    def close
      run
      @urgent.each(&:close)
    end

    def io_wait(io, events, timeout)
      fiber = Fiber.current
      @readable[io] = fiber if events.anybits?(IO::READABLE)
      @writable[io] = fiber if events.anybits?(IO::WRITABLE)
      @waiting[fiber] = now + timeout if timeout
      Fiber.yield
    ensure
      @waiting.delete(fiber)
      @readable.delete(io)
      @writable.delete(io)
    end

    def kernel_sleep(duration = nil)
      block(:sleep, duration)
      true
    end

    def block(_blocker, timeout = nil)
      fiber = Fiber.current
      timeout ? @waiting[fiber] = now + timeout : @blocked += 1
      Fiber.yield
    ensure
      @blocked -= 1 unless timeout
      @waiting.delete(fiber)
    end

    # May be called by any thread.
    def unblock(_blocker, fiber)
      @ready << fiber
      @urgent.last.write_nonblock(".")
    end

    def fiber(&block)
      Fiber.new(blocking: false, &block).tap(&:resume)
    end

    private

    def turn
      readable, writable, = IO.select([*@readable.keys, @urgent.first], @writable.keys, [], pause)
      @urgent.first.read_nonblock(64) if readable&.delete(@urgent.first)
      able = [*@readable.values_at(*readable), *@writable.values_at(*writable)].compact.uniq
      able.each { |fiber| fiber.resume(IO::READABLE) }
      resume_others
    end

    def resume_others
      Array.new(@ready.size) { @ready.pop }.each { |fiber| fiber.resume if fiber.alive? }
      late = @waiting.select { |_, time| time <= now }.keys
      late.each { |fiber| fiber.resume(false) if @waiting.key?(fiber) && fiber.alive? }
    end

    def pause
      return 0 unless @ready.empty?

      soonest = @waiting.values.min
      soonest && [soonest - now, 0].max
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
