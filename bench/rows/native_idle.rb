# frozen_string_literal: true

module Bench
  # The same for a native pool. Its statements run on the thread that waits for hang-ups too, so how often that one runs
  # says nothing of the watch; what the watch asked the kernel for does.
  class NativeIdle < Idle
    KIND = "native"
    AT_CHECKOUT = "`ping`"
    # EPOLLIN, EPOLLPRI, EPOLLOUT: traffic.
    TRAFFIC = 0x7
    private_constant :TRAFFIC

    private

    def ping(line, node)
      pool = Native.open(node.url, CONNECTIONS)
      # One after the other, as they are checked out.
      turn = Mutex.new
      line.tell(Array.new(51) do
        Native.each(pool, CONNECTIONS) { |db| turn.synchronize { milliseconds { db.ping } } }.sum
      end)
    end

    def milliseconds
      started = Clock.now
      yield
      (Clock.now - started) * 1_000
    end

    def connect(node)
      url = node.url.sub(":#{node.port}/", ":#{@relay.port}/")
      Native.open(url, CONNECTIONS)
    end

    def count(pool)
      pool.stats.values_at(:idle, :leased, :opening, :away).sum
    end

    def fill(pool)
      Native.each(pool, CONNECTIONS) { |db| db.query("SELECT 1") }
            .each { |rows| raise rows if rows.is_a?(StandardError) }
    end

    # For how many sockets traffic would wake the watch: the kernel tells what it was asked for.
    def wake_ups(pool)
      (QUERIES / CONNECTIONS).times { fill(pool) }
      sockets = watch.select { |descriptor, _| target(descriptor).start_with?("socket:") }
      raise "the watch has #{sockets.size} sockets" unless sockets.size == CONNECTIONS

      sockets.count { |_, events| (events & TRAFFIC).positive? }
    end

    # The runtime has an epoll for its own sockets, which asks for traffic; among them is the watch's.
    def watch
      epolls = descriptors.select { |descriptor| target(descriptor) == "anon_inode:[eventpoll]" }
      epolls = epolls.to_h { |descriptor| [descriptor, registrations(descriptor)] }
      epolls.find { |descriptor, _| epolls.values.any? { |others| others.key?(descriptor) } }&.last or
        raise "no watch was found"
    end

    def descriptors
      Dir.children("/proc/self/fd").map(&:to_i)
    end

    def target(descriptor)
      File.readlink("/proc/self/fd/#{descriptor}")
    rescue Errno::ENOENT
      ""
    end

    # What an epoll watches, and for what.
    def registrations(epoll)
      File.read("/proc/self/fdinfo/#{epoll}").scan(/^tfd:\s+(\d+) events:\s+(\h+)/)
          .to_h { |descriptor, events| [descriptor.to_i, events.to_i(16)] }
    end

    def traffic(wake_ups)
      puts "  sockets whose traffic would wake the watch, after #{QUERIES} queries: #{wake_ups} of #{CONNECTIONS}"
      Result.new(what: "sockets whose traffic would wake the watch (native)",
                 poolkeeper: "#{wake_ups} of #{CONNECTIONS}", beside: "", target: "0", met: wake_ups.zero?)
    end
  end
end
