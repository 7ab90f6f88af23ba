# frozen_string_literal: true

require_relative "catalogue"
require_relative "scene"
require_relative "subject"
require_relative "verdict"

module Support
  module Faults
    # One fault, done once to processes that are at work: started, looked at, harmed, and looked at again.
    class Run
      # Seconds of work before, and after all is well again.
      BEFORE = 0.3
      AFTER = 0.7

      # @param theatre [Theatre]
      # @param fault [Fault]
      # @param subjects [Array<Subject>] not yet launched
      # @param random [Random]
      # @param ports [Array<Integer>] where the processes under test connect to
      def initialize(theatre, fault, subjects, random, ports)
        @ports = ports
        @cluster = theatre.cluster
        @fault = fault
        @subjects = subjects
        @scene = Scene.new(fault, @cluster, theatre.name, subjects, random)
      end

      # @return [Hash{Subject => Verdict}]
      def call
        @subjects.each(&:launch).each(&:await)
        before = look
        work { @scene.strike }
        verdicts = @subjects.to_h { |subject| [subject, judge(subject, *before.fetch(subject))] }
        leave_no_trace
        verdicts
      ensure
        @subjects.each(&:close)
      end

      private

      def look
        @subjects.to_h do |subject|
          [subject, [subject.still(@cluster), subject.backends(@cluster), [subject.sockets(@ports), between]]]
        end
      end

      def work
        @subjects.each(&:go)
        sleep(BEFORE)
        yield
        sleep(@subjects.map { |subject| Verdict.grace(subject) }.max + AFTER)
        # While they work: nobody else finds out that an incident is over.
        @subjects.each(&:seek_peace).each(&:await_peace)
        @subjects.each(&:rest).each(&:await_rest)
      end

      def judge(subject, before, sessions, calm)
        verdict = Verdict.new(subject, @scene.incidents, @fault, rows(subject))
        after = subject.settled(@cluster, before)
        verdict.resources = [before, after]
        verdict.note(after.grown_since(before, except: subject.left))
        verdict.note("#{subject.rested[:stuck]} workers are stuck") unless subject.rested[:stuck].zero?
        verdict.note("an incident is still open") unless subject.rested[:healthy]
        verdict.note(left(subject, verdict), harmed(subject, sessions))
        verdict.note(disturbed(subject, *calm)) if Faults.calm?(@fault.name)
        verdict
      end

      # As another client counts them.
      def rows(subject)
        sql = "SELECT worker, number, count(*) FROM numbers WHERE worker IN (#{subject.numbers.join(",")}) " \
              "GROUP BY worker, number"
        @cluster.primary.sql(sql).to_h { |worker, number, count| [[worker.to_i, number.to_i], count.to_i] }
      end

      # Transactions that nobody ends, and connections to who must not be written to any more.
      def left(subject, verdict)
        idle = subject.idle_in_transaction(@cluster)
        backends = subject.backends(@cluster)
        verdict.kept = backends[@cluster.standby].size
        ["#{idle} are idle in a transaction"].first(idle.clamp(0, 1)) + former(backends)
      end

      # Everybody reads and writes at the new primary after a promotion.
      def former(backends)
        return [] unless @fault.name == "promotion" && backends[@cluster.standby].any?

        ["#{backends[@cluster.standby].size} connections to the old primary are left"]
      end

      # Interrupted workers lose connections of their own.
      def harmed(subject, sessions)
        return [] if subject.interrupted?

        now = subject.backends(@cluster)
        spared = @scene.incidents.map(&:spared).inject(:&)
        spared.filter_map do |node|
          lost = sessions[node].map(&:pid) - now[node].map(&:pid)
          "#{lost.size} healthy connections to the #{node.name} are gone" if lost.any?
        end
      end

      # Nothing at all may come of what is no fault.
      def disturbed(subject, sockets, sessions)
        gone = { "sockets" => sockets - subject.sockets(@ports), "sessions" => sessions - between }
        gone.reject { |_, lost| lost.empty? }.map { |what, lost| "#{lost.size} #{what} are gone" } +
          subject.rested[:events].map { |name, count| "#{count} times #{name}" }
      end

      # What stands in between has sessions of its own.
      def between
        @cluster.nodes.flat_map do |node|
          node.backends(client_addr: Network::ADDRESSES).map { |session| [node.host, session.pid] }
        end
      end

      def leave_no_trace
        @cluster.wait_for_replay
      end
    end
  end
end
