# frozen_string_literal: true

require_relative "processes"

module Support
  module Postgres
    # Makes a node, or one backend of it, fall silent: sockets stay open and the kernel goes on acknowledging, but
    # nobody answers. What a client meets behind a stalled disk, a paused virtual machine, a network that drops packets.
    module Freezer
      # Freezes the postmaster and all its children.
      #
      # @return [void]
      def freeze
        # The postmaster first: once it stands still there will be no new children.
        halt([postmaster!])
        halt(Processes.children(pid))
      end

      # @return [void]
      def thaw
        [*Processes.children(postmaster!.pid), postmaster!].each { |process| process.signal(:CONT) }
      end

      # @param pid [Integer] of one of this node's backends
      # @return [void]
      def freeze_backend(pid)
        halt([child(pid)])
      end

      # @param pid [Integer] of one of this node's backends
      # @return [void]
      def thaw_backend(pid)
        child(pid).signal(:CONT)
      end

      private

      def halt(processes)
        processes.each { |process| process.signal(:STOP) }
        Support.wait_until(message: "processes #{processes.map(&:pid)} stand still") do
          processes.all? { |process| process.stopped? || !process.running? }
        end
      end

      # Never signals a pid that is not ours, whatever a test passes.
      def child(pid)
        Processes.children(postmaster!.pid).find { |process| process.pid == pid } ||
          raise(Error, "process #{pid} is no backend of #{name} (#{self.pid})")
      end
    end
  end
end
