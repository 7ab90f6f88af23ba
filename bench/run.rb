# frozen_string_literal: true

# Measures poolkeeper beside its peers, in the same run. Started by `rake bench`; names of rows choose among them.
require "active_record"
require "pg"
require_relative "../spec/support/wait"
require_relative "../spec/support/postgres"
%w[clock child conditions table trips relay peers native].each { |file| require_relative "support/#{file}" }
%w[release idle checkout restart lease native_idle native_restart crowd leaks]
  .each { |file| require_relative "rows/#{file}" }

# Peers side by side.
module Bench
  ROWS = { "release" => Release, "lease" => Lease, "idle" => Idle, "native_idle" => NativeIdle,
           "checkout" => Checkout, "restart" => Restart, "native_restart" => NativeRestart,
           "crowd" => Crowd, "leaks" => Leaks }.freeze

  # @param names [Array<String>] rows; all of them where none is named
  # @return [Boolean] whether every target was met
  def self.run(names)
    unknown = names - ROWS.keys
    abort "no row is called #{unknown.join(", ")}; the rows are #{ROWS.keys.join(", ")}" if unknown.any?

    conditions = nil
    results = (names.empty? ? ROWS.keys : names).flat_map do |name|
      puts "#{name} (load #{Conditions.load})"
      # Every statement is logged: that nothing was sent can be read there.
      Support::Postgres.start(log_statement: "all") do |cluster|
        conditions ||= Conditions.line(cluster.primary.version)
        ROWS.fetch(name).new.call(cluster.primary)
      end
    end
    table = Table.new(results)
    puts "", table, "", conditions
    table.missed.empty?
  end
end

exit(Bench.run(ARGV))
