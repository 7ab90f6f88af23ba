# frozen_string_literal: true

require_relative "port"
require_relative "processes"

module Support
  module Servers
    # A node's life: everything here waits until what it says is true.
    #
    # The node says how its server is launched: `command`, `configure` (writes the configuration file), `ready?(output)`
    # and `signals` (how it is asked to stop); `output` is the {LogFile} that takes what the server says.
    module Lifecycle
      # Seconds to start or stop, on a slow and loaded machine.
      PATIENCE = 60

      # @return [Integer, nil] the server's, while it runs
      def pid
        @server.pid if running?
      end

      # @return [Boolean] frozen counts as running
      def running?
        !@server.nil? && @server.running?
      end

      # The first start: chooses the port, unless it was given.
      #
      # @return [self]
      def boot
        attempts = 0
        begin
          @port = @given || Port.free(host)
          configure
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

      # @param mode [Symbol] one of `signals`
      # @return [self]
      def stop(mode = :fast)
        return self unless running?

        signal = signals.fetch(mode)
        thaw
        @server.signal(signal)
        await("#{name} stopped (#{mode})") { !running? }
        self
      end

      # @return [Float] seconds from asking it to stop to accepting connections again
      def restart(mode: :fast)
        began = Support.now
        stop(mode).start
        Support.now - began
      end

      # Kills the server, as the kernel does when memory runs out, and waits until its children have followed and
      # nobody listens any more.
      #
      # @return [self]
      def kill
        victim = server!
        # It must not fork between the look at its children and its end: orphans are found by nobody.
        halt([victim])
        children = Processes.children(victim.pid)
        victim.signal(:KILL)
        leave_quietly(children)
        await("all of #{name} ended") { [victim, *children].none?(&:running?) && Port.refused?(port, host) }
        self
      end

      private

      def launch
        offset = output.size
        @server = @sandbox.spawn(*command, log: output.path, chdir: data)
        await("#{name} accepts connections") do
          said = output.raw(offset).scrub
          next true if ready?(said)

          failed(output.raw(offset).scrub) unless running?
        end
        self
      end

      def failed(text)
        raise PortTaken, text if text.include?("Address already in use")

        raise Error, "#{name} did not start: #{text}"
      end

      # Children that wait for something notice by themselves that their server is gone; frozen and busy ones do not.
      def leave_quietly(children)
        Support.wait_until(timeout: 1) { children.none?(&:running?) }
      rescue DeadlineError
        children.each { |child| child.signal(:KILL) }
      end

      def server!
        running? ? @server : raise(Error, "#{name} does not run")
      end

      def await(what, &condition)
        Support.wait_until(timeout: PATIENCE, message: -> { "#{what}; its log ends: #{output.tail}" }, &condition)
      end
    end
  end
end
