# frozen_string_literal: true

module Support
  # The real monitor, where Karafka or at least karafka-core is installed; neither is a dependency of this gem, nor is
  # either packaged by Debian.
  module RealKarafkaMonitor
    # Karafka would otherwise load Rails as soon as it finds it.
    ENV["KARAFKA_REQUIRE_RAILS"] ||= "false"
    # In this order: karafka brings the events with it, karafka-core only the monitor and the bus.
    LIBRARY = %w[karafka karafka-core].find do |name|
      require name
    rescue LoadError
      false
    end

    class << self
      # @return [Boolean]
      def available?
        !LIBRARY.nil?
      end

      # @return [String] one line for the suite's output
      def to_s
        return "Karafka's monitor: the double only, neither karafka nor karafka-core can be loaded here" unless LIBRARY

        version = LIBRARY == "karafka" ? ::Karafka::VERSION : ::Karafka::Core::VERSION
        "Karafka's monitor: the double, and the real one of #{LIBRARY} #{version}"
      end

      # @param without [Array<String>] names of events that the monitor shall not know
      # @return [Karafka::Core::Monitoring::Monitor] with a bus of its own, as Karafka builds its own monitor
      def build(without: [])
        bus = ::Karafka::Core::Monitoring::Notifications.new
        (events - without).each { |name| bus.register_event(name) }
        monitor_class.new(bus)
      end

      # @return [Class]
      def not_registered
        ::Karafka::Core::Monitoring::Notifications::EventNotRegistered
      end

      # @return [Array<String>]
      def events
        LIBRARY == "karafka" ? ::Karafka::Instrumentation::Notifications::EVENTS : KarafkaMonitor::EVENTS
      end

      private

      def monitor_class
        return ::Karafka::Instrumentation::Monitor if LIBRARY == "karafka"

        # The reader is all that Karafka's own subclass adds.
        @monitor_class ||= Class.new(::Karafka::Core::Monitoring::Monitor) { attr_reader :notifications_bus }
      end
    end
  end
end
