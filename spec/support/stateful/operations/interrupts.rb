# frozen_string_literal: true

require "timeout"

module Support
  module Stateful
    module Operations
      # Threads that die or are interrupted, between two pieces of work and in the middle of one.
      module Interrupts
        extend Group

        class << self
          # Runs work that is going to be interrupted. ActiveRecord may wrap what it meets in an error of its own, or
          # stumble over what was cut in two: from 7.2 on its instrumentation of a transaction that had just begun.
          #
          # @return [Boolean] whether it was interrupted
          def interrupted?(type)
            yield
            false
          rescue type
            true
          rescue ActiveRecord::StatementInvalid, NoMethodError => e
            raise unless e.cause.is_a?(type)

            true
          end
        end

        # Quiet, because a transaction that is cut off in the middle of its end throws its connection away.

        operation :kill_thread, weight: 10 do |turn|
          owner = turn.mortal_owner
          owner.kill
          turn.world.replace(owner)
        end

        operation :kill_thread_at_work, weight: 6, quiet: true do |turn|
          work = Work.new(turn, turn.mortal_owner)
          turn.owner.start { work.call }
          sleep(turn.draw.between(0, 0.004))
          turn.owner.kill
          turn.world.replace(turn.owner)
          work.interrupted
        end

        operation :timeout, weight: 10, quiet: true do |turn|
          work = Work.new(turn, turn.mortal_owner)
          # Without a class it unwinds with `throw` on older Rubies, which no rescue sees.
          limit = [turn.draw.between(0.0002, 0.004), *(Timeout::Error if turn.draw.chance?(0.5))]
          cut = turn.act { interrupted?(Timeout::Error) { Timeout.timeout(*limit) { work.call } } }
          turn.note("timed out while #{turn.owner.phase}") if cut
          work.interrupted
        end

        operation :raise_at_work, weight: 10, quiet: true do |turn|
          work = Work.new(turn, turn.mortal_owner)
          turn.owner.start { work.call }
          sleep(turn.draw.between(0, 0.004))
          turn.owner.interrupt(Interruption.new("from another thread"))
          cut = interrupted?(Interruption) { turn.owner.finish }
          turn.note("interrupted while #{turn.owner.phase}") if cut
          turn.owner.calm
          work.interrupted
        end

        # What is left where an interrupt cuts ActiveRecord's checkout in two: a lease that nobody knows of.
        operation :cut_checkout, weight: 4 do |turn|
          pool = turn.world.pool(turn.free_spot)
          turn.impossible unless pool.connections.any? { |adapter| !adapter.in_use? }
          turn.act { pool.send(:acquire_connection, World::TIMEOUT) }
          turn.cut(turn.owner.thread)
        end
      end
    end
  end
end
