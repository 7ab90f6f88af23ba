# frozen_string_literal: true

# What `bin/demo --embedded` runs: `ruby main.rb FOLDER`, with GEM_HOME set to where poolkeeper is installed. Nothing in
# here knows a server, its driver or ActiveRecord.
require "fileutils"
gem("poolkeeper")
require "poolkeeper"
require_relative "../orders"
require_relative "report"
require_relative "run"

module Demo
  module Embedded
    # The run and the verdict on it.
    class Main
      CONSUMER = File.expand_path("consumer.rb", __dir__)

      # @param folder [String] for files of this run
      def initialize(folder)
        @folder = folder
      end

      # @return [Boolean] whether every figure is as it must be
      def call
        FileUtils.rm_f([path("consumer.log"), *["", "-wal", "-shm"].map { |suffix| path("orders.db#{suffix}") }])
        Orders.write(path("orders.jsonl"))
        run = Run.new(path("orders.db")) do
          ConsumerProcess.new([path("orders.db"), path("orders.jsonl")], script: CONSUMER,
                                                                         log: path("consumer.log"), environment: {})
        end.call
        report = Report.new(run)
        puts("", versions(run), report.to_s, "", "poolkeeper itself says: #{says(run)}")
        verdict(report.failures)
      end

      private

      def path(name)
        File.join(@folder, name)
      end

      def versions(run)
        gem = run.versions[:poolkeeper] or return "the consumer did not start"
        "SQLite #{run.versions[:sqlite]}, Ruby #{run.versions[:ruby]}, poolkeeper #{gem[:version]} as installed in " \
          "#{gem[:path].delete_prefix("#{Dir.pwd}/")}"
      end

      def says(run)
        run.account.map { |name, count| "#{name} #{count}" }.join(", ")
      end

      def verdict(failures)
        log = "the consumer's log: #{path("consumer.log").delete_prefix("#{Dir.pwd}/")}"
        puts(failures.empty? ? "all as it must be (#{log})" : ["", "FAILED:", *failures.map { |one| "  #{one}" }, log])
        failures.empty?
      end
    end
  end
end

if $PROGRAM_NAME == __FILE__
  trap(:TERM) { raise Interrupt }
  begin
    exit(Demo::Embedded::Main.new(*ARGV).call)
  rescue Interrupt
    warn("interrupted")
    exit(130)
  rescue Poolkeeper::Error, Support::DeadlineError => e
    abort("demo: #{e.message}")
  end
end
