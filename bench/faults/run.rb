# frozen_string_literal: true

# What faults cost with poolkeeper and without it, in the same run. Started by `rake bench:faults`, once for each family
# of servers; names of rows choose among them.
require "active_record"
require "poolkeeper"
require_relative "../../spec/support/wait"
require_relative "../../spec/support/dialect"
require_relative "../../spec/support/faults"
%w[clock child conditions table trips relay peers native].each { |file| require_relative "../support/#{file}" }
%w[restart native_restart].each { |file| require_relative "../rows/#{file}" }
%w[silence demotion].each { |file| require_relative file }

module Bench
  # Rows five to nine of the targets.
  module FaultRows
    NAMES = %w[restart native_restart frozen dropped demoted].freeze

    class << self
      # @param names [Array<String>] rows; all of them where none is named
      # @return [Boolean] whether every target was met
      def run(names)
        unknown = names - NAMES
        abort "no row is called #{unknown.join(", ")}; the rows are #{NAMES.join(", ")}" if unknown.any?

        results = (names.empty? ? NAMES : names).flat_map do |name|
          puts "#{Support::Dialect.family}: #{name} (load #{Conditions.load})"
          row(name)
        end
        table = Table.new(results)
        puts "", table, "", "#{Support::Dialect.family}, #{Conditions.host}"
        table.missed.empty?
      ensure
        @suite&.close
      end

      private

      def row(name)
        case name
        when "restart" then on_a_server { |node| Restart.new.call(node) }
        # Its relay counts what PostgreSQL's clients send.
        when "native_restart" then postgresql? ? on_a_server { |node| NativeRestart.new.call(node) } : []
        when "demoted" then Demotion.new.call(suite)
        else Silence.new(Silence::ROWS.fetch(name)).call(suite)
        end
      end

      def on_a_server
        cluster = Support::Dialect.current.start
        yield cluster.primary
      ensure
        cluster&.close
      end

      def suite
        @suite ||= Support::Faults::Suite.new(Support::Dialect.family)
      end

      def postgresql?
        Support::Dialect.family == :postgresql
      end
    end
  end
end

exit(Bench::FaultRows.run(ARGV))
