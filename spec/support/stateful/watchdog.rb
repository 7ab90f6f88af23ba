# frozen_string_literal: true

module Support
  module Stateful
    # Ends the process where a step hangs, and says where every thread stands.
    class Watchdog
      # Seconds for one step, a fork on a busy machine included.
      PATIENCE = 30

      # @yieldreturn [String] what to say first
      def initialize(&said)
        @said = said
        feed
        @thread = Thread.new { watch }
        @thread.name = "watchdog"
      end

      def feed
        @fed = Support.now
      end

      private

      def watch
        loop do
          sleep(1)
          bite if Support.now - @fed > PATIENCE
        end
      end

      def bite
        warn(@said.call, "a step hangs:")
        Thread.list.each { |thread| warn("#{thread.inspect}\n  #{Array(thread.backtrace).first(12).join("\n  ")}") }
        exit!(2)
      end
    end
  end
end
