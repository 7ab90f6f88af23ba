# frozen_string_literal: true

require "fileutils"
require "json"
require "rbconfig"
require "socket"
require "tmpdir"
require_relative "../wait"
require_relative "keeper"
require_relative "place"
require_relative "product"

module Support
  module Servers
    # A temporary folder with the processes that live in it. Both go when it is closed, and at the latest when this
    # process ends, in whatever way: see {Keeper}.
    class Sandbox
      class << self
        # @return [Array<Sandbox>] those not yet closed
        def live
          @live ||= []
        end

        # Called at exit. A forked child runs its parent's handlers too, hence the check in {#close}.
        def close_all
          live.dup.each(&:close)
        end
      end

      # @return [String] the folder
      attr_reader :root

      # @param product [Product]
      def initialize(product)
        @product = product
        @owner = Process.pid
        @lock = Mutex.new
        @requests = 0
        @started = []
        @user = product.user
        @drop = product.privilege_drop(@user)
        @root = Dir.mktmpdir(product.prefix, Place.base(@user))
        start_keeper
      ensure
        @socket ? self.class.live << self : FileUtils.rm_rf(@root.to_s)
      end

      # @return [String] path in the folder
      def path(*names)
        File.join(root, *names)
      end

      # @return [Boolean] false once closed, and in a forked child
      def usable?
        Process.pid == @owner && !@socket.closed?
      end

      # Starts a process that goes on running.
      #
      # @param command [Array<String>]
      # @param log [String] file that takes its output
      # @param chdir [String]
      # @param input [String, nil] file for its standard input
      # @return [Processes::Status]
      def spawn(*command, log:, chdir: root, input: nil)
        pid = request(spawn: { command: [*@drop, *command], chdir:, log:, input:, ending: @product.ending }).fetch(:pid)
        # Gone already? Then anything that is not running will do.
        process = Processes.status(pid) || Processes::Status.new(pid:, state: "X")
        @started << process
        process
      end

      # Runs a command to its end.
      #
      # @raise [Error] with its output when it failed
      def run(*command, log: path("#{File.basename(command.first)}.log"), timeout: 60, **options)
        pid = spawn(*command, log:, **options).pid
        status = Support.wait_until(timeout:, message: "#{command.first} ended") do
          request(status: pid)[:status]
        end
        raise Error, "#{command.join(" ")} failed (#{status}): #{File.read(log)}" unless status.zero?
      end

      # Ends every process in the folder and removes it. Does nothing in a forked child, nor the second time.
      #
      # @raise [Error] when something is left
      def close
        return unless usable?

        self.class.live.delete(self)
        dismiss_keeper
        clean_up if File.exist?(root)
      end

      private

      def start_keeper
        hand_over if @user
        # Anyone on this machine may connect to the socket in it, as to the port.
        File.chmod(0o711, root)
        socket, theirs = Socket.pair(:UNIX, :SEQPACKET)
        launch(theirs)
        theirs.close
        @socket = socket
      end

      def hand_over
        FileUtils.chown(@user.uid, @user.gid, root)
      rescue Errno::EINVAL, Errno::EPERM
        raise Error, "root here cannot become #{@user.name}, as whom #{@product.name} would run; " \
                     "give the container or namespace more than one user id (/etc/subuid)"
      end

      def launch(theirs)
        started = Processes.status(Process.pid).started.to_s
        pid = Process.spawn({ "RUBYOPT" => nil, "RUBYLIB" => nil }, RbConfig.ruby, "--disable=gems", Keeper::FILE,
                            Process.pid.to_s, started, root,
                            chdir: "/", in: theirs, out: [log, "a"], err: %i[child out], close_others: true)
        _, status = Process.wait2(pid)
        raise Error, "the keeper did not start: #{keeper_log}" unless status.success?
      end

      # Only when somebody killed the keeper.
      def clean_up
        @started.each { |process| Processes.shut_down(process, @product.ending) }
        Support.wait_until(timeout: 10, message: "the servers in #{root} ended") { @started.none?(&:running?) }
        FileUtils.rm_rf(root)
        raise Error, "#{root} could not be removed" if File.exist?(root)
      end

      def dismiss_keeper
        send_message(close: true)
        # It says nothing more; that it has ended shows as end of file.
        nil while @socket.wait_readable(30) && !@socket.recv(Keeper::LARGEST_REQUEST).to_s.empty?
      rescue Error, Errno::ECONNRESET
        nil
      ensure
        @socket.close
      end

      def request(message)
        @lock.synchronize do
          raise Error, "#{root} is closed or belongs to another process (#{@owner})" unless usable?

          @requests += 1
          send_message(**message, id: @requests)
          reply = receive until reply && reply[:id] == @requests
          raise Error, reply[:error] if reply[:error]

          reply
        end
      end

      def send_message(message)
        @socket.send(JSON.generate(message), 0)
      rescue Errno::EPIPE, Errno::ECONNRESET
        raise Error, "the keeper of #{root} is gone: #{keeper_log}"
      end

      # A thread that was killed while it waited here leaves its reply to the next one, who skips it by its number.
      def receive
        message = @socket.recv(Keeper::LARGEST_REQUEST) if @socket.wait_readable(10)
        raise Error, "no answer from the keeper of #{root}: #{keeper_log}" if message.nil? || message.empty?

        JSON.parse(message, symbolize_names: true)
      end

      def log
        path("keeper.log")
      end

      def keeper_log
        File.exist?(log) ? File.read(log) : "(no log)"
      end
    end

    at_exit { Sandbox.close_all }
  end
end
