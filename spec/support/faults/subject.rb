# frozen_string_literal: true

require "io/wait"
require "json"
require "rbconfig"
require_relative "../network"
require_relative "../proc"
require_relative "child/journal"

module Support
  module Faults
    # A process under test, as the coordinator has it: started, told what to do, and looked at from outside.
    class Subject
      CHILD = File.expand_path("child.rb", __dir__)
      LIBRARY = File.expand_path("../../../lib", __dir__)
      # Seconds for an answer: its workers may be blocked for as long as a fault lasts.
      PATIENCE = 60
      # Seconds until threads and descriptors that are about to go have gone; Ruby keeps an idle thread for a while.
      SETTLING = 12

      # What the kernel and the servers say of it.
      Figures = Struct.new(:connections, :threads, :descriptors) do
        def to_s
          to_a.join("/")
        end

        # @return [Array<String>] what there is more of than before
        def grown_since(before, except: [])
          (members - except).select { |name| self[name] > before[name] }
                            .map { |name| "#{name} have grown from #{before[name]} to #{self[name]}" }
        end
      end

      # @return [Array<Integer>] of its processes
      attr_reader :pids
      # @return [Network::Link]
      attr_reader :link
      # @return [String] such as "observed, 5 workers, interrupted"
      attr_reader :title
      # @return [Integer] of the workers, forked ones counted
      attr_reader :workers
      # @return [String] "observed", "native" or "bare"
      attr_reader :kind
      # @return [Hash] stuck (workers), events and healthy, as it said when it came to rest
      attr_reader :rested

      # @param folder [String] of its own
      # @param settings [Hash] see {Child}
      def initialize(folder, settings)
        @folder = folder
        @settings = settings
        @title = "#{settings[:title]} #{settings[:count]} workers #{settings[:manner]}"
        @kind = settings.fetch(:kind)
        @workers = settings.fetch(:count) * (settings[:manner] == "forked" ? 2 : 1)
        Dir.mkdir(folder)
      end

      # From 0.5.5 on mysql2 leaves the socket of an interrupted connect open until the process ends.
      #
      # @return [Array<Symbol>] figures that say nothing of poolkeeper
      def left
        drivers = interrupted? && kind == "observed" && Dialect.family == :mariadb
        drivers && Gem::Version.new(Mysql2::VERSION) >= Gem::Version.new("0.5.5") ? %i[connections descriptors] : []
      end

      # @return [Boolean] whether its workers are killed and cut off
      def interrupted?
        @settings[:manner] == "interrupted"
      end

      # @return [self] once its namespace is there
      def launch
        settings = { **@settings, folder: @folder, link: Network::Link.next }
        command = Network.apart(RbConfig.ruby, "-I#{LIBRARY}", CHILD, JSON.generate(settings))
        @io = IO.popen([*command, { err: [errors, "a"] }], "r+")
        hear
        @link = Network::Link.new(@io.pid, settings.fetch(:link))
        @io.puts("join")
        self
      end

      # @return [void] once its pools are warm and its workers at rest
      def await
        @pids = hear.fetch(:pids)
      end

      # @return [void]
      def go
        @io.puts("go")
        hear
      end

      # @return [void]
      def seek_peace
        @io.puts("peace")
      end

      # @return [void] once no incident is open, or it is late
      def await_peace
        hear
      end

      # Tells the workers to end what they are at, and to stay.
      #
      # @return [void]
      def rest
        @io.puts("rest")
      end

      # @return [void] once they do
      def await_rest
        @rested = hear
      end

      # @return [Array<Journal::Job>]
      def jobs
        Journal.read(@folder)
      end

      # @return [Array<Integer>] numbers of the workers that ever were
      def numbers
        Dir.children(@folder).grep(/\Aworker-/).map { |name| name[/\d+/].to_i }
      end

      # @param cluster [Servers::Cluster]
      # @return [Figures]
      def figures(cluster)
        Figures.new(backends(cluster).values.sum(&:size), @pids.sum { |pid| Proc.threads(pid).size },
                    @pids.sum { |pid| Proc.fds(pid).size - lost_while_connecting(cluster, pid) })
      end

      # @return [Figures] once they stand still
      def still(cluster)
        last = nil
        Support.wait_until(timeout: SETTLING, interval: 0.2, message: "the figures stand still") do
          before = last
          before == (last = figures(cluster))
        end
        last
      end

      # @return [Figures] once none has grown, or as they are when it is time
      def settled(cluster, before)
        Support.wait_until(timeout: SETTLING, interval: 0.1) do
          figures(cluster).grown_since(before, except: left).empty?
        end
        figures(cluster)
      rescue DeadlineError
        figures(cluster)
      end

      # @return [Hash{Servers::Node => Array}] its sessions on each server
      def backends(cluster)
        cluster.nodes.to_h { |node| [node, node.backends(client_addr: link.address)] }
      end

      # A server whose answer was dropped says it again after a while, the longer the more often it has: only then does
      # it learn that its client is gone.
      #
      # @return [Integer] sessions that stay so
      def idle_in_transaction(cluster)
        open = { client_addr: link.address, state: /\Aidle in transaction/ }
        count = -> { cluster.nodes.sum { |node| node.backends(**open).size } }
        Support.wait_until(timeout: SETTLING, interval: 0.1) { count.call.zero? }
        0
      rescue DeadlineError
        count.call
      end

      # @param ports [Array<Integer>]
      # @return [Array<Integer>] its sockets to those ports, each by what makes it the same in every process
      def sockets(ports)
        @pids.product(ports).flat_map { |pid, port| Proc.inodes_to(port, pid) }.uniq
      end

      # @return [String] what it wrote to standard error
      def said
        File.exist?(errors) ? File.read(errors) : ""
      end

      # Ends it, whatever it is at.
      def close
        return unless @io

        Process.kill(:KILL, *@pids || @io.pid)
      rescue Errno::ESRCH
        nil
      ensure
        @io&.close
      end

      private

      # A thread that is killed while libpq connects leaves the socket of no connection, for good, and one that was
      # refused too; what connections there are is counted on the server.
      def lost_while_connecting(cluster, pid)
        interrupted? ? Proc.sockets_to(cluster.primary.port, pid) + Proc.unconnected(pid) : 0
      end

      def errors
        File.join(@folder, "errors")
      end

      def hear
        line = @io.gets if @io.wait_readable(PATIENCE)
        raise "#{title} gives no answer; it said: #{said[-3000..] || said}" if line.nil?

        JSON.parse(line, symbolize_names: true)
      end
    end
  end
end
