# frozen_string_literal: true

require_relative "fault"

module Support
  module Faults
    # Seconds of a query: longer than it takes to find a server silent.
    LONG = DETECTED + 0.6

    # What is no fault, however much it looks like one: nobody may fail, and no connection may go.
    CALM = [
      ["a query longer than the whole detection", { long: LONG, harm: ->(scene) { scene.quiet(4) } }],
      ["the connection limit reached while leases are old", { long: LONG, harm: lambda(&:crowded) }],
      ["the process stopped for longer than the whole detection", { harm: ->(scene) { scene.stopped(3) } }],
      ["a balancer that sends each connection to the other of two servers",
       { long: LONG, route: :balancer, harm: ->(scene) { scene.quiet(4) } }],
      ["PgBouncer, a session for each client",
       { long: LONG, route: :session, only: :postgresql, harm: ->(scene) { scene.quiet(4) } }],
      ["PgBouncer, a session for each transaction",
       { long: LONG, route: :transaction, only: :postgresql, harm: ->(scene) { scene.quiet(4) } }]
    ].to_h do |name, more|
      # As short as against a frozen server; a poolkeeper without such means is to do no harm either.
      mechanisms = { host_monitor: MONITOR, socket_deadline: DEADLINE }
      [name, Fault.new(name: name, victims: 0, mechanisms: mechanisms, **more)]
    end.freeze

    # The same for the long form, with what poolkeeper does by default. Jobs of a minute are told to be the last while
    # they are under way.
    PATIENT = [
      ["a query of a minute", { long: 60, patience: 61, harm: ->(scene) { scene.quiet(55) } }],
      ["the process stopped for 10 s", { harm: ->(scene) { scene.stopped(10) } }]
    ].to_h { |name, more| [name, Fault.new(name: name, victims: 0, **more)] }.freeze

    module_function

    # @param name [String]
    def calm?(name)
      CALM.key?(name) || PATIENT.key?(name)
    end
  end
end
