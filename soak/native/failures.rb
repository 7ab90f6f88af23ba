# frozen_string_literal: true

require "json"

module Soak
  module Native
    # Jobs that failed, in a file, and whether what was done to the server explains them.
    class Failures
      # What may come of a connection that its server ends, and of a server that is not there; nothing else may.
      LOST = "Poolkeeper::ConnectionError"
      DOWN = "Poolkeeper::HostDownError"
      # What was done: a session ended, or the server away. `stopped` is when it was gone, `recovered` when the first
      # job had succeeded since.
      Harm = Struct.new(:name, :began, :stopped, :ended, :recovered)

      # @param folder [String]
      def initialize(folder)
        @file = File.open(File.join(folder, "failures"), "a+")
        @file.sync = true
        @harms = []
      end

      # @param name [Symbol] :session or :restart
      # @yieldparam harm [Harm] while it is done
      # @return [void]
      def during(name)
        harm = Harm.new(name, Support.now)
        # Replaced, never changed in place: workers walk through it.
        @harms += [harm]
        yield harm
      ensure
        harm&.ended = Support.now
      end

      # The server is gone: whatever succeeds from now on has met it anew.
      #
      # @param harm [Harm]
      # @return [void]
      def gone(harm)
        harm.stopped = Support.now
        @away = harm
      end

      # A job has succeeded.
      #
      # @param begun [Float] when it began: one that had its answer before may be telling of it only now
      # @return [void]
      def succeeded(begun)
        harm = @away
        return if harm.nil? || begun < harm.stopped

        harm.recovered ||= Support.now
        @away = nil
      end

      # @return [void]
      def note(kind, begun, error)
        told = { kind:, begun:, at: Support.now, error: error.class.name, text: error.message[0, 200] }
        told[:fault] = error.fault if error.respond_to?(:fault)
        @file.write("#{JSON.generate(told)}\n")
      end

      # @return [Array<Hash>] those from a moment on
      def since(moment)
        @file.rewind
        @file.each_line.map { |line| JSON.parse(line, symbolize_names: true) }.select { |one| one[:begun] >= moment }
      end

      # @return [Array<Harm>]
      def harms(name, since)
        @harms.select { |harm| harm.name == name && harm.began >= since }
      end

      # @param failure [Hash]
      # @return [Symbol, nil] what explains it: :restart (on a connection when the server went), :away, :session; or
      #   nothing
      def explanation(failure)
        restarts, sessions = @harms.partition { |harm| harm.name == :restart }
        case failure[:error]
        when LOST
          return :restart if restarts.any? { |harm| overlap?(failure, harm.began, harm.stopped) }
          return :session if sessions.any? { |harm| overlap?(failure, harm.began, harm.ended) }

          :away if away?(restarts, failure)
        when DOWN then :away if away?(restarts, failure)
        end
      end

      private

      # Whoever was waiting for a connection when the server went is told so too.
      def away?(restarts, failure)
        restarts.any? { |harm| overlap?(failure, harm.began, harm.recovered || Float::INFINITY) }
      end

      def overlap?(failure, from, to)
        failure[:begun] <= to && failure[:at] >= from
      end
    end
  end
end
