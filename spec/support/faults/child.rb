# frozen_string_literal: true

# The process under test, in a network of its own: `ruby child.rb <settings as JSON>`, spoken to line by line.
require "json"
require "logger"
require "socket"
require_relative "../wait"
require_relative "../network"

module Support
  module Faults
    # Does what it is told: to "go" and to "rest", until its input ends.
    class Child
      # Workers of a forked child have numbers from here on.
      FORKED = 100

      # @param settings [Hash] link (number), hosts (file of the name), folder, subject (name and settings), first and
      #   count (of the workers), manner, mechanisms
      def initialize(settings)
        @settings = settings
        @events = Hash.new(0)
        @input = $stdin
        @output = $stdout
      end

      # @return [void]
      def run
        join
        prepare
        @settings[:manner] == "forked" ? beside_a_fork { serve } : serve
      end

      private

      # Its namespace is there; the link into it comes next.
      def join
        say(here: true)
        @input.gets
        Network::Link.join(@settings.fetch(:link))
        Network::Name.mount(@settings.fetch(:hosts))
      end

      def prepare
        require "poolkeeper" unless bare?
        configure unless bare?
        @subject = subject
        start_workers(@settings.fetch(:first))
      end

      def bare?
        @settings.dig(:subject, :bare)
      end

      def configure
        Poolkeeper.configure do |config|
          config.logger = Logger.new($stderr)
          @settings.fetch(:mechanisms).each { |option, value| config.public_send(:"#{option}=", value) }
        end
        Poolkeeper::Events::LINES.each_key { |name| Poolkeeper.events.subscribe(name) { @events[name] += 1 } }
      end

      def subject
        kind = @settings.dig(:subject, :kind)
        require_relative "child/#{kind}"
        Faults.const_get(kind.capitalize).new(@settings.fetch(:subject))
      end

      def start_workers(first)
        require_relative "child/workers"
        numbers = first...(first + @settings.fetch(:count))
        @workers = Workers.new(@subject, @settings.fetch(:folder), numbers,
                               interrupted: @settings[:manner] == "interrupted", long: @settings[:long])
      end

      def serve
        tell(ready: true, pids: [Process.pid])
        while (order = @input.gets)
          @fork&.puts(order)
          { "go" => method(:go), "peace" => method(:peace), "rest" => method(:rest) }.fetch(order.chomp).call
        end
      end

      def go
        @workers.go
        tell(gone: true)
      end

      # An incident may be as young as the last fault; what is open for longer than this is told at the end.
      def peace
        ends = Support.now + 5
        sleep(0.05) until bare? || Poolkeeper.healthy? || Support.now > ends
        tell(peace: true)
      end

      def rest
        stuck = @workers.rest
        # A thread that was killed while it connected leaves what the collector closes, once no stack points to it.
        3.times { Thread.new { GC.start }.join }
        tell(stuck: stuck, events: @events, healthy: bare? || Poolkeeper.healthy?)
      end

      # For both, where there is a fork: it says the same things at the same times.
      def tell(**answer)
        others = JSON.parse(@fork.gets, symbolize_names: true) if @fork
        say(**(others ? answer.merge(others) { |key, ours, theirs| together(key, ours, theirs) } : answer))
      end

      def together(key, ours, theirs)
        case key
        when :pids, :stuck then ours + theirs
        when :events then ours.transform_keys(&:to_sym).merge(theirs) { |_, one, other| one + other }
        else ours && theirs
        end
      end

      def say(**answer)
        @output.puts(JSON.generate(answer))
        @output.flush
      end

      # A child of this process does the same with workers of its own, and both tell as one.
      def beside_a_fork
        ours, theirs = UNIXSocket.pair
        pid = Process.fork { in_the_fork(ours, theirs) }
        theirs.close
        @fork = ours
        yield
      ensure
        ours.close
        Process.wait(pid)
      end

      def in_the_fork(ours, theirs)
        ours.close
        @events.clear
        @input = @output = theirs
        start_workers(@settings.fetch(:first) + FORKED)
        serve
      ensure
        exit!(0)
      end
    end
  end
end

Support::Faults::Child.new(JSON.parse(ARGV.fetch(0), symbolize_names: true)).run
