# frozen_string_literal: true

module Support
  # Host monitors with little patience, for one example.
  module Monitors
    QUICK = { after: 0.5, interval: 0.4, timeout: 0.4, failures: 2 }.freeze
    # Invariant 6, with these: after + interval x (failures - 1) + timeout + 0.5.
    WITHIN = 1.8

    # With more, for what is to be left alone: a server on a loaded machine may take a moment. A silent one is noticed
    # after 1.7 s.
    CALM = { after: 0.5, interval: 0.4, timeout: 0.4, failures: 3 }.freeze

    def monitor(**settings)
      Poolkeeper.configure { |config| config.host_monitor = { **QUICK, **settings } }
    end

    # @return [Array<Poolkeeper::Events::Event>] that grows with the events of these names
    def told(*names)
      events = Queue.new
      names.each { |name| Poolkeeper.events.subscribe(name) { |event| events << event } }
      seen = []
      -> { seen.concat(Array.new(events.size) { events.pop }) }
    end

    # Whatever was told is what the host in question was told about.
    def told_of(seen, host)
      seen.call.select { |event| event[:host] == host }
    end
  end
end
