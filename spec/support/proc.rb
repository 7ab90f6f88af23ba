# frozen_string_literal: true

module Support
  # What the kernel says about this process (or another one), as opposed to what Ruby's objects say.
  #
  # @note Inside `module Support`, Ruby's own class is `::Proc`.
  module Proc
    # A TCP socket's state in the kernel's tables.
    ESTABLISHED = /\A01\z/
    # Established, or listening.
    OPEN = /\A0[1A]\z/

    module_function

    # @param pid [Integer, String]
    # @return [Hash{Integer => String}] descriptor number => where it leads, such as "socket:[4711]"
    def fds(pid = "self")
      Dir.children("/proc/#{pid}/fd").to_h { |fd| [fd.to_i, link("/proc/#{pid}/fd/#{fd}")] }.compact
    end

    # Counts the TCP sockets that the process holds open towards a remote port, in whichever state: one that the
    # server closed long ago (CLOSE_WAIT) counts as well.
    #
    # @param port [Integer]
    # @param pid [Integer, String]
    # @return [Integer]
    def sockets_to(port, pid = "self")
      inodes_to(port, pid).size
    end

    # @return [Array<Integer>] the same sockets, by what makes each the same in every process that holds it
    def inodes_to(port, pid = "self")
      held = fds(pid).values
      remote_inodes(port, pid).select { |inode| held.include?("socket:[#{inode}]") }.map(&:to_i)
    end

    # @return [Integer] sockets that no table of the kernel's has (any more): a connect that was refused, say
    def unconnected(pid = "self")
      tables = %w[tcp tcp6 udp udp6 unix netlink raw packet].map { |table| "/proc/#{pid}/net/#{table}" }
      # Before the tables: what was opened since is in neither.
      held = fds(pid).values.filter_map { |target| target[/\Asocket:\[(\d+)\]\z/, 1] }
      listed = tables.select { |path| File.exist?(path) }.flat_map { |path| File.read(path).split }
      (held - listed).size
    end

    # @return [Array<Integer>] the inodes of what the epolls of a process watch
    def watched_inodes(pid = "self")
      epolls = fds(pid).select { |_, target| target == "anon_inode:[eventpoll]" }.keys
      epolls.flat_map { |fd| File.read("/proc/#{pid}/fdinfo/#{fd}").scan(/^tfd:.* ino:(\h+)/).flatten.map(&:hex) }.uniq
    end

    # Counts the same sockets, but only those that the other side has not closed, as far as the kernel here knows.
    #
    # @param port [Integer]
    # @return [Integer]
    def open_to(port)
      held = fds.values
      remote_inodes(port, "self", ESTABLISHED).count { |inode| held.include?("socket:[#{inode}]") }
    end

    # Counts the sockets of this network that the other side has not closed, as far as the kernel here knows, whoever
    # holds them.
    #
    # @param ports [Array<Integer>] at the clients' end
    # @param port [Integer] at the server's
    # @return [Integer]
    def established(ports, port)
      remote(port, "self", ESTABLISHED).count { |fields| ports.include?(fields[1].split(":").last.hex) }
    end

    # @param address [String]
    # @param port [Integer]
    # @return [Integer] sockets that listen there, or are held open by whoever did, in this network
    def open_at(address, port)
      # The kernel writes an address as this machine stores it.
      local = [address.split(".").map(&:to_i).pack("C4").unpack1("L"), port]
      lines = File.readlines("/proc/self/net/tcp").drop(1).map(&:split)
      lines.count { |fields| fields[1].split(":").map(&:hex) == local && OPEN.match?(fields[3]) }
    end

    # @return [Hash{Integer => String}] thread id => name, of native threads too
    def threads(pid = "self")
      Dir.children("/proc/#{pid}/task").to_h { |tid| [tid.to_i, thread_name(pid, tid)] }.compact
    end

    # @return [Integer] bytes of memory in use
    def rss(pid = "self")
      File.read("/proc/#{pid}/status")[/^VmRSS:\s+(\d+) kB/, 1].to_i * 1024
    end

    # Descriptors, threads and connections come and go between the listing and the look.
    def link(path)
      File.readlink(path)
    rescue Errno::ENOENT
      nil
    end
    private_class_method :link

    def thread_name(pid, tid)
      File.read("/proc/#{pid}/task/#{tid}/comm").chomp
    rescue Errno::ENOENT, Errno::ESRCH
      nil
    end
    private_class_method :thread_name

    def remote_inodes(port, pid, states = //)
      remote(port, pid, states).map { |fields| fields[9] }
    end
    private_class_method :remote_inodes

    def remote(port, pid, states)
      suffix = format(":%04X", port)
      %w[tcp tcp6].flat_map do |table|
        path = "/proc/#{pid}/net/#{table}"
        # A kernel without IPv6 has no tcp6.
        next [] unless File.exist?(path)

        lines = File.readlines(path).drop(1).map(&:split)
        lines.select { |fields| fields[2].end_with?(suffix) && states.match?(fields[3]) }
      end
    end
    private_class_method :remote
  end
end
