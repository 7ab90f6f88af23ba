# frozen_string_literal: true

require_relative "fault"

module Support
  # What is done to the suite's own servers while workers are at work, and what it may cost.
  module Faults
    # The server cannot be reached, or takes nobody: words of the drivers, and of native pools.
    UNREACHABLE = Regexp.union(
      /refused|could not connect|can't connect|HostDownError|timeout expired|timed out|issue connecting/i,
      /starting up|shutting down|not yet accepting|in recovery mode|initial communication|handshake/i
    )
    # It answers, and takes no writes.
    READ_ONLY = /read.only/i

    # Seconds. Small figures, so that a run is short; the arithmetic is that of invariant 6.
    MONITOR = { after: 0.5, interval: 0.2, timeout: 0.2, failures: 2 }.freeze
    DETECTED = MONITOR[:after] + (MONITOR[:interval] * (MONITOR[:failures] - 1)) + MONITOR[:timeout] + 0.5
    DEADLINE = 1
    # The target: where the request was acknowledged, the kernel asks after a second and gives up a second after that.
    VANISHED = 2.2
    CONNECT = 2
    # A silent server is waited for by who connects to it anew, and ActiveRecord connects twice by default.
    IMPATIENT = { connect_timeout: CONNECT, connection_retries: 0 }.freeze

    CATALOGUE = [
      Fault.new(name: "fast restart", away: UNREACHABLE, harm: ->(scene) { scene.restart(:fast) }),
      Fault.new(name: "immediate restart", away: UNREACHABLE, harm: ->(scene) { scene.restart(:immediate) }),
      Fault.new(name: "kill", away: UNREACHABLE, harm: ->(scene) { scene.down(&:kill) }),
      Fault.new(name: "down for 5 s", away: UNREACHABLE, lasts: 5, harm: ->(scene) { scene.down(&:stop) }),
      Fault.new(name: "terminate one", victims: 1, harm: ->(scene) { scene.terminate(1) }),
      Fault.new(name: "terminate all", harm: ->(scene) { scene.terminate(:all) }),
      Fault.new(name: "read-only", away: READ_ONLY, harm: lambda(&:read_only)),
      Fault.new(name: "promotion", away: Regexp.union(UNREACHABLE, READ_ONLY), lasts: 2, harm: lambda(&:promotion)),
      Fault.new(name: "rolling restart", away: UNREACHABLE, harm: lambda(&:rolling_restart)),
      # A backend that stands still does not look at its own clock: only a limit that the client keeps frees its owner.
      # Native pools have one, with a second to cancel the statement and a second to hear of it.
      Fault.new(name: "frozen backend", only: :postgresql, victims: 0, away: /TimeoutError/,
                blocked: { "native" => 3.5 }, native: { statement_timeout: 1 }, lasts: 4,
                harm: lambda(&:frozen_backend)),
      Fault.new(name: "frozen server", mechanisms: { host_monitor: MONITOR }, away: UNREACHABLE, blocked: DETECTED,
                patience: CONNECT + 0.5, database: IMPATIENT, native: { connect_timeout: CONNECT },
                lasts: 5, harm: lambda(&:frozen)),
      Fault.new(name: "dropped packets", mechanisms: { socket_deadline: DEADLINE }, away: UNREACHABLE,
                blocked: VANISHED, patience: CONNECT + 0.5, database: IMPATIENT,
                native: { connect_timeout: CONNECT }, lasts: 5, harm: lambda(&:dropped))
    ].to_h { |fault| [fault.name, fault] }.freeze

    MIX = "mix"

    module_function

    # @param family [Symbol]
    # @return [Array<Fault>] what can be done to such servers
    def possible(family)
      CATALOGUE.values.select { |fault| fault.on?(family) }
    end

    # @param name [String]
    # @param seconds [Numeric, nil] of a mix; or that another lasts, unless as long as by default
    # @return [Fault]
    def find(name, seconds: nil)
      return { **CALM, **PATIENT }.fetch(name) if calm?(name)
      return CATALOGUE.fetch(name).lasting(seconds) unless name == MIX

      faults = possible(Dialect.family)
      Fault.new(name: MIX, harm: ->(scene) { scene.mix(seconds, faults) }, database: IMPATIENT,
                native: { connect_timeout: CONNECT, statement_timeout: 1 },
                mechanisms: faults.map(&:mechanisms).inject({}, :merge))
    end
  end
end

require_relative "calm"
