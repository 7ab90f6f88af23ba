# frozen_string_literal: true

module Soak
  module Native
    # What is done while the threads work, from a seed: sessions are ended by the server, threads are killed, and at
    # some points of the time the server goes away, in order or not.
    class Chaos
      # Shares of the time at which the server restarts, and how it stops.
      RESTARTS = { 0.2 => :fast, 0.4 => :immediate, 0.6 => :fast, 0.8 => :immediate }.freeze
      # Seconds between two kills, and that the server stays away.
      PAUSE = 0.1..0.6
      AWAY = 0.2..1.0
      # Seconds before the end in which nothing is done any more.
      QUIET = 2

      # @param node [Support::Servers::Node]
      # @param workers [Workers]
      # @param failures [Failures]
      # @param seed [Integer]
      def initialize(node, workers, failures, seed)
        @node = node
        @workers = workers
        @failures = failures
        @random = Random.new(seed)
      end

      # @param seconds [Numeric] how long the threads work
      # @return [void]
      def call(seconds)
        began = Support.now
        restarts = RESTARTS.to_a
        @workers.start
        while (passed = Support.now - began) < seconds - QUIET
          due, mode = restarts.first
          due && passed >= due * seconds ? restart(mode) && restarts.shift : kill
          sleep(@random.rand(PAUSE))
        end
        sleep(QUIET)
      ensure
        @workers.stop
      end

      private

      def kill
        @random.rand < 0.5 ? @workers.kill(@random) : end_session
      end

      def end_session
        session = @node.backends.sample(random: @random) or return
        @failures.during(:session) { @node.terminate(session.pid) }
      end

      def restart(mode)
        @failures.during(:restart) do |harm|
          @node.stop(mode)
          @failures.gone(harm)
          sleep(@random.rand(AWAY))
          @node.start
        end
      end
    end
  end
end
