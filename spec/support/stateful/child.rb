# frozen_string_literal: true

module Support
  module Stateful
    # A forked child that works a little, says what it found, and lives on until it is told to end.
    class Child
      # On the thread of an owner, which is the child's only one.
      def initialize(world, spot)
        @world = world
        said, @say = IO.pipe
        @hear, told = IO.pipe
        @pid = ::Process.fork { live(said, told, spot) }
        [@say, @hear].each(&:close)
        @said = said
        @told = told
        work_is_done
      end

      # @raise [Violation] where it has met one
      def finish
        @told.close
        answer = @said.read
        @said.close
        ::Process.wait(@pid)
        Stateful.violated("in a child: #{answer}") unless answer == "fine."
      end

      private

      def work_is_done
        return if @said.wait_readable(PATIENCE)

        ::Process.kill(:KILL, @pid)
        Stateful.violated("a child hangs")
      end

      # Nothing of the parent's may run at its end.
      def live(said, told, spot)
        [said, told].each(&:close)
        @say.write(answer(spot))
        @say.flush
        @hear.read
        @say.write(".")
      ensure
        exit!(0)
      end

      def answer(spot)
        compare([])
        adapter = @world.take(spot)
        compare([adapter])
        count = Poolkeeper.release
        Stateful.violated("#{count} released") unless count == 1
        compare([])
        misses = Poolkeeper::Mirror._stats.sum { |pool| pool[:mirror_misses] }
        misses.zero? ? "fine" : "#{misses} leases missed"
      rescue Exception => e # rubocop:disable Lint/RescueException -- told to the parent
        e.full_message(highlight: false)
      end

      def compare(wanted)
        leased = @world.connections.select(&:leased?)
        Stateful.violated("leased are #{leased.size}") unless leased.map(&:adapter) == wanted
        return if Mirror.leases([]) == leased.map(&:pair)

        Stateful.violated("the mirror has #{Mirror.leases([])}, and the pools #{leased.map(&:pair)}")
      end
    end
  end
end
