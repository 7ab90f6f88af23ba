# frozen_string_literal: true

module Support
  module Servers
    # Processes by pid, as /proc shows them. The keeper loads this too, so it needs nothing but Ruby.
    module Processes
      # A process, told apart from a later one with the same pid by the time it was started.
      Status = Struct.new(:pid, :state, :ppid, :started, keyword_init: true) do
        # @return [Boolean] false for a zombie too: in many containers nobody reaps those of pid 1
        def running?
          current = Processes.status(pid)
          !current.nil? && current.started == started && !%w[Z X].include?(current.state)
        end

        # @return [Boolean] stopped by SIGSTOP
        def stopped?
          Processes.status(pid)&.state == "T"
        end

        # @param name [Symbol] of the signal; nothing happens when the process is gone
        def signal(name)
          Process.kill(name, pid) if running?
        rescue Errno::ESRCH
          nil
        end
      end

      module_function

      # @return [Status, nil]
      def status(pid)
        stat = File.read("/proc/#{pid}/stat")
        # The name in parentheses may itself hold blanks and parentheses.
        fields = stat[(stat.rindex(")") + 2)..].split
        Status.new(pid:, state: fields[0], ppid: fields[1].to_i, started: fields[19].to_i)
      rescue Errno::ENOENT, Errno::ESRCH
        nil
      end

      # @return [Array<Status>] direct children that still run
      def children(pid)
        all.filter_map { |candidate| status(candidate) }.select { |found| found.ppid == pid && found.running? }
      end

      # Ends a server at once, be it frozen.
      #
      # @param server [Status]
      # @param ending [String, Symbol] the signal that does so
      # @return [void]
      def shut_down(server, ending)
        # Its pid may be somebody else's by now.
        return unless server.running?

        # What is frozen takes no signal but SIGKILL, and that one would leave PostgreSQL's shared memory behind.
        children(server.pid).each { |child| child.signal(:CONT) }
        server.signal(:CONT)
        server.signal(ending)
      end

      def all
        Dir.children("/proc").grep(/\A\d+\z/).map(&:to_i)
      end
    end
  end
end
