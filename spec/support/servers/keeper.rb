# frozen_string_literal: true

require "fileutils"
require "json"
require "socket"
require_relative "processes"

module Support
  module Servers
    # A process of its own that starts the servers of one sandbox, and ends them and removes the folder when the owner
    # says so or is no more, were it by SIGKILL.
    #
    # The servers are its children rather than the owner's, for these reasons: no moment exists in which a server runs
    # that nobody knows; they inherit none of the owner's descriptors; and a spec may call `Process.waitall` or count
    # threads without meeting a server or its `Process.detach`.
    #
    # Runs as `ruby keeper.rb <owner's pid> <its start time> <folder>` with a SEQPACKET socket as standard input.
    class Keeper
      FILE = File.expand_path(__FILE__)
      # The owner's death usually shows as end of file at once. A forked child of the owner that lives on keeps the
      # socket open, so the owner itself is looked at as well.
      LOOK_AT_OWNER = 0.2
      # Seconds for the servers to end by themselves, before everything is killed; PostgreSQL takes up to 5 s.
      GRACE = 7
      LARGEST_REQUEST = 65_536
      PR_SET_CHILD_SUBREAPER = 36
      private_constant :PR_SET_CHILD_SUBREAPER

      # @param owner [Processes::Status]
      # @param root [String] the sandbox's folder
      # @param socket [Socket]
      def initialize(owner, root, socket)
        @owner = owner
        @root = root
        @socket = socket
        # Each with the signal that ends it.
        @servers = {}
        @statuses = {}
      end

      # @return [void]
      def run
        # Ended by SIGTERM (the machine shuts down), Ruby leaves through this ensure as well.
        adopt_orphans
        serve
      ensure
        %w[TERM INT HUP].each { |name| trap(name, "IGNORE") }
        clean_up
      end

      private

      # The children of a killed server then fall to us, who end them, and not to pid 1, which in many containers
      # does not even reap them.
      def adopt_orphans
        require "fiddle"
        prctl = Fiddle::Function.new(Fiddle.dlopen(nil)["prctl"], [Fiddle::TYPE_INT, *[Fiddle::TYPE_LONG] * 4],
                                     Fiddle::TYPE_INT)
        prctl.call(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
      rescue LoadError
        # From Ruby 3.5 on a gem of its own. Most orphans of PostgreSQL end by themselves.
        nil
      end

      def serve
        while @owner.running?
          reap
          next unless @socket.wait_readable(LOOK_AT_OWNER)

          message = @socket.recv(LARGEST_REQUEST)
          return if message.nil? || message.empty?

          request = JSON.parse(message, symbolize_names: true)
          return if request[:close]

          answer(request)
        end
      end

      def answer(request)
        reply = request.key?(:spawn) ? { pid: spawn_server(**request[:spawn]) } : { status: status(request[:status]) }
      rescue SystemCallError => e
        reply = { error: e.message }
      ensure
        @socket.send(JSON.generate({ **reply, id: request[:id] }), 0) if reply
      end

      def spawn_server(command:, chdir:, log:, input:, ending:)
        # Nothing of the environment reaches the server but this: PGDATA, PGPORT, LC_* and RUBYOPT of whoever runs the
        # specs must not change what they see.
        pid = Process.spawn({ "PATH" => ENV.fetch("PATH"), "LC_ALL" => "C" }, *command,
                            chdir:, in: input || File::NULL, out: [log, "a"], err: %i[child out],
                            unsetenv_others: true, close_others: true, pgroup: true)
        @servers[Processes.status(pid)] = ending
        pid
      end

      def status(pid)
        reap
        @statuses[pid]
      end

      def reap
        while (pid, status = Process.wait2(-1, Process::WNOHANG))
          @statuses[pid] = status.exitstatus || (128 + status.termsig)
          @servers.reject! { |server, _| server.pid == pid }
        end
      rescue Errno::ECHILD
        nil
      end

      def clean_up
        @servers.each { |server, ending| Processes.shut_down(server, ending) }
        wait(GRACE) { reap || @servers.none? { |server, _| server.running? } }
        # Servers that did not end, and adopted orphans. Those they leave become ours in turn.
        wait(GRACE) { Processes.children(Process.pid).each { |child| child.signal(:KILL) }.empty? }
        remove_shared_memory
        FileUtils.rm_rf(@root)
      end

      # A killed PostgreSQL leaves its System V segment, 56 bytes of which the machine has 4096 to give.
      def remove_shared_memory
        Dir.glob("#{@root}/*/postmaster.pid").each do |file|
          segment = File.readlines(file)[6].to_s.split[1]
          system("ipcrm", "-m", segment, err: File::NULL) if segment
        end
      end

      def wait(seconds)
        deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds
        sleep(0.005) until yield || Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
      end
    end
  end
end

if $PROGRAM_NAME == __FILE__
  # A session of its own: Ctrl-C in the terminal is for the owner, who then cleans up. Being nobody's child, the keeper
  # cannot be waited for by mistake either.
  Process.daemon(true, true)
  pid, started, root = ARGV
  owner = Support::Servers::Processes::Status.new(pid: pid.to_i, started: started.to_i)
  Support::Servers::Keeper.new(owner, root, Socket.for_fd(0)).run
end
