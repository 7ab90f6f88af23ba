# frozen_string_literal: true

require_relative "../proc"
require_relative "incident"

module Support
  module Faults
    # Where a fault is done: the servers, the links to the processes under test, and the name that leads to the writer.
    class Scene
      # Seconds between two faults of a mix; the first success after one is to come before the next.
      PAUSE = 2.0..4.0
      private_constant :PAUSE

      # @return [Array<Incident>]
      attr_reader :incidents

      # @param fault [Fault]
      # @param cluster [Servers::Cluster]
      # @param name [Network::Name]
      # @param subjects [Array<Subject>]
      # @param random [Random]
      def initialize(fault, cluster, name, subjects, random)
        @fault = fault
        @cluster = cluster
        @name = name
        @subjects = subjects
        @random = random
        @incidents = []
      end

      # @return [void]
      def strike
        @fault.harm.call(self)
      end

      # One after the other, for so long.
      #
      # @param seconds [Numeric]
      # @param faults [Array<Fault>] to choose from
      # @return [void]
      def mix(seconds, faults)
        over = Support.now + seconds
        until Support.now > over
          @fault = faults.sample(random: @random)
          strike
          # Whoever is to fail over needs somebody to fail over to.
          @cluster.wait_for_replay
          sleep(@random.rand(PAUSE))
        end
      end

      def restart(mode)
        down { |node| node.stop(mode) }
      end

      # @yieldparam node [Servers::Node] to be ended
      def down(node: primary)
        incident(spared: @cluster.nodes - [node]) do |incident|
          yield node
          await_end(node)
          incident.gone = Support.now
          sleep(@fault.lasts)
          node.start
        end
      end

      # @param which [Integer, :all] how many sessions of each process
      def terminate(which)
        victims = sessions.flat_map { |own| which == :all ? own : own.sample(which, random: @random) }.map(&:pid)
        incident(spared: [standby]) do |incident|
          primary.terminate(victims)
          incident.gone = Support.now
        end
      end

      def read_only
        incident(spared: [standby]) do |incident|
          primary.read_only!(true)
          incident.gone = Support.now
          sleep(1)
          primary.read_only!(false)
        end
      end

      # The name leads to the new primary when it has lasted.
      def promotion
        incident do |incident|
          moved = Support.now + @fault.lasts
          @cluster.switch_over { incident.gone = Support.now }
          sleep([moved - Support.now, 0].max)
          @name.move(primary.host)
        end
      end

      def rolling_restart
        down(node: standby, &:stop)
        # As whoever does it would: one after the other has come back.
        @cluster.wait_for_replay
        sleep(0.5)
        down(node: primary, &:stop)
      end

      def frozen
        incident(spared: [standby]) do |incident|
          primary.freeze
          incident.gone_within(@fault.blocked)
          sleep(@fault.lasts)
          primary.thaw
        end
      end

      def frozen_backend
        # What was used last is used next.
        victims = sessions.map { |own| own.max_by(&:state_change).pid }
        incident(spared: [standby]) do |incident|
          victims.each { |victim| primary.freeze_backend(victim) }
          incident.gone_within(@fault.lasts)
          sleep(@fault.lasts)
          victims.each { |victim| primary.thaw_backend(victim) }
        end
      end

      def dropped
        incident do |incident|
          @subjects.each { |subject| subject.link.cut }
          incident.gone_within(@fault.blocked)
          sleep(@fault.lasts)
          @subjects.each { |subject| subject.link.mend }
        end
      end

      # Nothing is done, for so long.
      def quiet(seconds)
        calm { sleep(seconds) }
      end

      # Nobody gets a new connection, while jobs are in the middle of what they do on those they have.
      def crowded
        calm { Dialect.current.crowded(primary) { sleep(4) } }
      end

      # The processes under test stand still, and go on.
      def stopped(seconds)
        calm do
          signal(:STOP)
          sleep(seconds)
          signal(:CONT)
        end
      end

      private

      def calm
        incident(spared: @cluster.nodes) do |incident|
          incident.gone = incident.struck
          yield
        end
      end

      def signal(name)
        @subjects.flat_map(&:pids).each { |pid| ::Process.kill(name, pid) }
      end

      def primary
        @cluster.primary
      end

      def standby
        @cluster.standby
      end

      # A process counts as gone before the kernel has closed all that it had open.
      def await_end(node)
        Support.wait_until(message: "the sockets of #{node.name} are closed") do
          Proc.open_at(node.host, node.port).zero?
        end
      end

      # On the primary, process by process.
      def sessions
        @subjects.map { |subject| primary.backends(client_addr: subject.link.address) }
      end

      def incident(spared: [])
        incident = Incident.new(@fault, spared: spared)
        yield incident
        incident.back = Support.now
        @incidents << incident
      end
    end
  end
end
