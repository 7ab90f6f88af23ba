# frozen_string_literal: true

# What bin/demo runs when everything is installed: `ruby main.rb DATABASE poolkeeper|bare FOLDER RUBYOPT [GEM_HOME]`.
require "fileutils"
require "json"
require "timeout"
require_relative "orders"
require_relative "report"
require_relative "run"

module Demo
  # Servers, runs and the verdict on them.
  class Main
    # Seconds for the messages with poolkeeper, far more than they need.
    LIMIT = 40
    # Seconds for both runs without it, from the start of the servers to the end of them; no more, come what may.
    BARE = 55
    # Seconds for the messages of each. The first comes to a standstill and needs no more.
    BARE_RUNS = {
      "bare" => [16, "without poolkeeper, no release"],
      "handler" => [22, "without poolkeeper, clear_active_connections! after each job"]
    }.freeze

    # @param name [String] postgresql or mariadb
    # @return [Module] {Postgresql} or {Mariadb}
    def self.database(name)
      require_relative "#{name}/server"
      Demo.const_get(name.capitalize)
    end

    # @param database [Module] {Postgresql} or {Mariadb}
    # @param folder [String] for files of this run
    # @param rubyopt [String] flags that load ActiveRecord
    # @param gem_home [String, nil] where poolkeeper is installed
    def initialize(database, folder, rubyopt, gem_home)
      @database = database
      @folder = folder
      @environment = { "RUBYOPT" => rubyopt, "GEM_HOME" => gem_home }
    end

    # @return [Boolean] whether every figure is as it must be
    def with_poolkeeper
      with_servers do |cluster|
        run = run(cluster, "poolkeeper", LIMIT)
        report = Report.new(run)
        puts("", versions(run, cluster), report.to_s, *@database::NOTE, "", poolkeeper_says(run))
        verdict(report.failures)
      end
    end

    # @return [Boolean] true if leaving poolkeeper out did no harm
    def bare
      Timeout.timeout(BARE) do
        with_servers do |cluster|
          verdict(BARE_RUNS.flat_map { |mode, (limit, title)| bare_run(cluster, mode, limit, title) })
        end
      end
    rescue Timeout::Error
      puts("", "ended after #{BARE} s")
      false
    end

    private

    def bare_run(cluster, mode, limit, title)
      puts("", "#{title}:")
      run = run(cluster, mode, limit)
      report = Report.new(run)
      puts("", versions(run, cluster), report.to_s)
      report.failures.map { |label| "#{title}: #{label}" }
    end

    def with_servers(&block)
      FileUtils.rm_f(path("consumer.log"))
      Orders.write(path("orders.jsonl"))
      puts("starting a #{@database::NAME} primary and its standby")
      @database.start do |cluster|
        File.write(path("databases.json"), JSON.generate(databases(cluster)), perm: 0o600)
        block.call(cluster)
      end
    end

    def databases(cluster)
      options = { **@database.named(Tally::APPLICATION), pool: Tally::POOL_SIZE }
      { primary: cluster.primary.config(**options), replica: cluster.standby.config(**options, replica: true),
        audit: { url: @database.native_url(cluster.primary) } }
    end

    def run(cluster, mode, limit)
      Run.new(cluster, @database, mode, limit:) do |started|
        ConsumerProcess.new([started, path("databases.json"), path("orders.jsonl")],
                            log: path("consumer.log"), environment: @environment)
      end.call
    end

    def path(name)
      File.join(@folder, name)
    end

    def versions(run, cluster)
      gem = run.versions[:poolkeeper]
      words = ["ActiveRecord #{run.versions[:activerecord]}", "#{@database::NAME} #{cluster.primary.version}",
               "Ruby #{run.versions[:ruby]}"]
      words << "poolkeeper #{gem[:version]} as installed in #{gem[:path].delete_prefix("#{Dir.pwd}/")}" if gem
      words.join(", ")
    end

    def poolkeeper_says(run)
      counts = run.account.map { |name, count| "#{name} #{count}" }
      opened, closed = run.incidents
      "poolkeeper itself says: #{["incidents opened #{opened}, closed #{closed}", *counts].join(", ")}"
    end

    def verdict(failures)
      log = "the consumer's log: #{path("consumer.log").delete_prefix("#{Dir.pwd}/")}"
      if failures.empty?
        puts("all as it must be (#{log})")
      else
        puts("", "FAILED:", failures.map { |label| "  #{label}" }, log)
      end
      failures.empty?
    end
  end
end

if $PROGRAM_NAME == __FILE__
  name, mode, folder, rubyopt, gem_home = ARGV
  database = Demo::Main.database(name)
  # Ends as Ctrl-C does: what was started is ended on the way out.
  trap(:TERM) { raise Interrupt }
  main = Demo::Main.new(database, folder, rubyopt, gem_home)
  begin
    exit(mode == "bare" ? main.bare : main.with_poolkeeper)
  rescue Interrupt
    warn("interrupted")
    exit(130)
  rescue Support::Servers::Error, Support::DeadlineError, database::ERROR => e
    abort("demo: #{e.message}")
  end
end
