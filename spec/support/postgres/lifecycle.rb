# frozen_string_literal: true

require_relative "port"
require_relative "processes"

module Support
  module Postgres
    # A node's life: everything here waits until what it says is true.
    module Lifecycle
      # How PostgreSQL is asked to shut down.
      SIGNALS = { smart: :TERM, fast: :INT, immediate: :QUIT }.freeze
      # Seconds to start or stop, on a slow and loaded machine.
      PATIENCE = 60

      # @return [Integer, nil] the postmaster's, while it runs
      def pid
        @postmaster.pid if running?
      end

      # @return [Boolean] frozen counts as running
      def running?
        !@postmaster.nil? && @postmaster.running?
      end

      # The first start: chooses the port.
      #
      # @return [self]
      def boot
        attempts = 0
        begin
          @port = Port.free
          File.write(File.join(data, "postgresql.conf"), configuration)
          launch
        rescue PortTaken
          retry if (attempts += 1) < 10
          raise
        end
      end

      # Starts again after {#stop} or {#kill}, and waits until the server accepts connections.
      #
      # @return [self]
      def start
        raise Error, "#{name} runs already (#{pid})" if running?

        # Somebody else's look for a free port may just have bound ours.
        Support.wait_until(timeout: 10, message: "#{name} got its port #{port} back") do
          launch
        rescue PortTaken
          false
        end
      end

      # @param mode [:smart, :fast, :immediate]
      # @return [self]
      def stop(mode = :fast)
        return self unless running?

        signal = SIGNALS.fetch(mode)
        thaw
        @postmaster.signal(signal)
        await("#{name} stopped (#{mode})") { !running? }
        self
      end

      # @return [Float] seconds from asking it to stop to accepting connections again
      def restart(mode: :fast)
        began = Support.now
        stop(mode).start
        Support.now - began
      end

      # Kills the postmaster, as the kernel does when memory runs out, and waits until its children have followed and
      # nobody listens any more.
      #
      # @return [self]
      def kill
        victim = postmaster!
        # It must not fork between the look at its children and its end: orphans are found by nobody.
        halt([victim])
        children = Processes.children(victim.pid)
        victim.signal(:KILL)
        leave_quietly(children)
        await("all of #{name} ended") { [victim, *children].none?(&:running?) && Port.refused?(port) }
        self
      end

      # Makes a standby a primary of its own.
      #
      # @return [self]
      def promote
        psql("SELECT pg_promote(true, #{PATIENCE})")
        await("#{name} left recovery") { psql("SELECT pg_is_in_recovery()") == [["f"]] }
        self
      end

      private

      def launch
        offset = @log.size
        @postmaster = @sandbox.spawn(Installation.program("postgres"), "-D", data, log: @log.path, chdir: data)
        await("#{name} accepts connections") do
          next true if ready?

          failed(@log.raw(offset)) unless running?
        end
        self
      end

      def failed(text)
        raise PortTaken, text if text.include?("Address already in use")

        raise Error, "#{name} did not start: #{text}"
      end

      # The postmaster says so in its pid file, where pg_ctl looks too. A look costs no connection and no log line.
      def ready?
        lines = File.readlines(File.join(data, "postmaster.pid"), chomp: true)
        lines[0].to_i == @postmaster.pid && lines[7].to_s.strip == "ready"
      rescue Errno::ENOENT
        false
      end

      # Backends that wait for something notice by themselves that the postmaster is gone; frozen and busy ones do not.
      def leave_quietly(children)
        Support.wait_until(timeout: 1) { children.none?(&:running?) }
      rescue DeadlineError
        children.each { |child| child.signal(:KILL) }
      end

      def postmaster!
        running? ? @postmaster : raise(Error, "#{name} does not run")
      end

      def await(what, &condition)
        Support.wait_until(timeout: PATIENCE, message: -> { "#{what}; its log ends: #{@log.tail}" }, &condition)
      end
    end
  end
end
