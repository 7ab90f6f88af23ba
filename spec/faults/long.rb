# frozen_string_literal: true

# The long form of the fault suite for one family of servers; started by `rake faults`.
require "poolkeeper"
require_relative "../support/dialect"
require_relative "../support/faults"

# Every fault, to few workers and to many, in every manner; then what is none and takes long, and a mix of them.
class LongForm
  WORKERS = [5, 20].freeze
  MANNERS = %w[plain interrupted forked].freeze
  KINDS = %w[observed native].freeze
  SEED = 20_261_123

  def initialize
    @family = Support::Dialect.family
    @seed = Integer(ENV.fetch("FAULTS_SEED", SEED))
    @minutes = Float(ENV.fetch("FAULTS_MINUTES", "10"))
    @told = []
  end

  # @return [Boolean] whether all is well
  def call
    $stdout.sync = true
    @suite = Support::Faults::Suite.new(@family)
    runs.each { |fault, workers, manner| run(fault, manner, workers) }
    chosen("FAULTS_ONLY", Support::Faults::PATIENT.keys).each { |calm| run(calm, "plain", WORKERS.first) }
    mix if chosen("FAULTS_ONLY", [Support::Faults::MIX]).any?
    puts table
    @told.all? { |one| one.wrong.empty? }
  ensure
    @suite&.close
  end

  private

  def runs
    names = Support::Faults.possible(@family).map(&:name)
    workers = chosen("FAULTS_WORKERS", WORKERS.map(&:to_s)).map(&:to_i)
    chosen("FAULTS_ONLY", names).product(workers, chosen("FAULTS_MANNER", MANNERS))
  end

  def chosen(variable, all)
    ENV.key?(variable) ? all & ENV.fetch(variable).split(",") : all
  end

  def run(fault, manner, workers, **options)
    subjects = KINDS.map { |kind| { kind: kind, workers: workers, manner: manner } }
    @suite.run(fault, subjects, seed: @seed, **options).each do |told|
      @told << told
      puts line(told)
    end
  end

  # Killed threads and forks have had their turn; here it is the faults' number that counts.
  def mix
    seconds = @minutes * 60
    run(Support::Faults::MIX, "plain", WORKERS.first, timeout: seconds + 300, seconds: seconds)
  end

  def line(told)
    mark = told.wrong.empty? ? "ok   " : "WRONG"
    ["#{mark} #{@family} #{told.line}", *told.wrong.map { |wrong| "      #{wrong}" }].join("\n")
  end

  def table
    wrong = @told.reject { |one| one.wrong.empty? }
    ["", "#{@family}, Ruby #{RUBY_VERSION}, seed #{@seed} (FAULTS_SEED)",
     *@told.map { |told| line(told).lines.first.chomp }, "#{@told.size} runs, #{wrong.size} wrong"].join("\n")
  end
end

exit(LongForm.new.call) if $PROGRAM_NAME == __FILE__
