# frozen_string_literal: true

require_relative "../spec/support/wait"

module Demo
  # One thing that is done to the servers while the consumer works.
  class Fault
    # @return [Symbol]
    attr_reader :name
    # @return [Float, nil] when it began and when it was over, on the clock of {Support.now}
    attr_reader :began, :ended
    # @return [Object, nil] what it came to
    attr_reader :outcome

    # @param name [Symbol]
    # @param share [Float] of the orders, after which it is done
    # @yieldreturn [Object] the outcome
    def initialize(name, share, &act)
      @name = name
      @share = share
      @act = act
    end

    # @param progress [Float] share of the orders that are written
    # @return [Boolean]
    def due?(progress)
      @began.nil? && progress >= @share
    end

    # Does it on a thread of its own, so that the live line goes on.
    def start
      @began = Support.now
      @thread = Thread.new do
        Thread.current.report_on_exception = false
        @outcome = @act.call
        @ended = Support.now
      end
    end

    # @return [Boolean]
    def under_way?
      @thread&.alive? || false
    end

    # @param timeout [Numeric] seconds
    # @raise [Exception] what went wrong
    def wait(timeout)
      @thread&.join(timeout) || @thread&.kill
    end
  end

  # Both faults of the demo, in their order.
  class Faults
    include Enumerable

    # Seconds that the primary stays away.
    AWAY = 0.6

    # @param cluster [Support::Servers::Cluster]
    def initialize(cluster)
      @all = [
        Fault.new(:restart, 0.4) { restart(cluster.primary) },
        Fault.new(:terminate, 0.7) { cluster.standby.terminate(:all) }
      ]
    end

    def each(&block)
      @all.each(&block)
    end

    # Starts the next one when it is due; never two at once.
    #
    # @param progress [Float]
    def advance(progress)
      return if any?(&:under_way?)

      @all.find { |fault| fault.began.nil? }&.then { |fault| fault.start if fault.due?(progress) }
    end

    # @return [Symbol, nil] what is being done at the moment
    def present
      find(&:under_way?)&.name
    end

    # Waits for those that are under way.
    #
    # @param timeout [Numeric] seconds for each
    def wait(timeout)
      each { |fault| fault.wait(timeout) }
    end

    # @param at [Float]
    # @return [Fault, nil] the last that had begun by then
    def before(at)
      @all.reverse.find { |fault| fault.began && fault.began <= at }
    end

    private

    # Its own restart takes a tenth of a second, in which hardly a batch would come to be refused.
    def restart(node)
      began = Support.now
      node.stop(:fast)
      sleep(AWAY)
      node.start
      Support.now - began
    end
  end
end
