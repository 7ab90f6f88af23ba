# frozen_string_literal: true

require_relative "processes"

module Support
  module Servers
    # Makes a node fall silent: sockets stay open and the kernel goes on acknowledging, but nobody answers. What a
    # client meets behind a stalled disk, a paused virtual machine, a network that drops packets.
    module Freezer
      # Freezes the server and all its children.
      #
      # @return [void]
      def freeze
        # The server first: once it stands still there will be no new children.
        halt([server!])
        halt(Processes.children(pid))
      end

      # @return [void]
      def thaw
        [*Processes.children(server!.pid), server!].each { |process| process.signal(:CONT) }
      end

      private

      def halt(processes)
        processes.each { |process| process.signal(:STOP) }
        Support.wait_until(message: "processes #{processes.map(&:pid)} stand still") do
          processes.all? { |process| process.stopped? || !process.running? }
        end
      end
    end
  end
end
