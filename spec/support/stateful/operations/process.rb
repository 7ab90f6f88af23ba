# frozen_string_literal: true

module Support
  module Stateful
    module Operations
      # The process as a whole: other threads of ActiveRecord's, forks, the collector, and upkeep.
      module Process
        extend Group

        class << self
          # Two relations that are read ahead of time.
          def read_ahead(turn, spot)
            found = turn.world.patiently(turn.world.pool(spot)) { turn.world.at(spot) { turn.world.written.ahead } }
            Stateful.violated("found #{found}") unless found == [Rows::FIXED, Rows::FIXED]
          rescue ActiveRecord::ActiveRecordError
            kept = turn.world.pool(spot).active_connection?
            raise unless kept && turn.world.wounded?(kept)

            raise Expected, :dead
          end
        end

        operation :load_async, weight: 8, may: %i[exhausted dead], there: ->(_) { Async.there? } do |turn|
          spot = turn.free_spot
          turn.act { read_ahead(turn, spot) }
        ensure
          Async.wait
        end

        operation :fork, weight: 2 do |turn|
          turn.impossible if turn.world.child
          child = turn.act { Child.new(turn.world, turn.spot) }
          turn.draw.chance?(0.5) ? child.finish : turn.world.child = child
        end

        operation :end_child, weight: 2 do |turn|
          turn.need(turn.world.child).finish
          turn.world.child = nil
        end

        operation :gc_start, weight: 1.5 do |_turn|
          GC.start
        end

        operation :gc_compact, weight: 1.5, there: ->(_) { GC.respond_to?(:compact) } do |_turn|
          GC.compact
        end

        # As the poolkeeper thread does every ten seconds.
        operation :tidy, weight: 20, tidies: true do |_turn|
          Poolkeeper::Observed::Walk.tidy
        end

        operation :close_idle, weight: 1.5 do |turn|
          turn.act { Poolkeeper::KarafkaListener.new.on_swarm_manager_before_fork(nil) }
          idle = turn.free(turn.world.connections).reject(&:leased?)
          Stateful.violated("#{idle.size} connections are kept for nothing") if idle.any?
        end

        # What a server sees: no session is kept open that is in no pool, and none is missing.
        operation :count_backends, weight: 3 do |turn|
          turn.impossible if turn.world.child
          told = -> { "server processes #{turn.world.sessions}, and #{turn.world.backends} in the pools" }
          Support.wait_until(timeout: PATIENCE, message: told) { turn.world.sessions == turn.world.backends }
        end
      end
    end
  end
end
