# frozen_string_literal: true

require "json"
require "open3"

# On 7.2.3 or later: earlier ones look at each connection themselves, which hides the failures.
desc "Show that each invariant's spec fails where its mechanism is switched off, and how"
task proof: :compile do
  ENV.update(active_record_environment("7.2"))
  require_relative "../spec/proof/table"
  wrong = Proof::TABLE.reject do |row|
    proven, said = ProofRun.new(row).call
    puts format("%<mark>-6s %<invariant>-50s off: %<off>s", mark: proven ? "ok" : "WRONG", invariant: row.invariant,
                                                            off: row.off)
    puts said.gsub(/^/, "       ") unless proven
    proven
  end
  abort "#{wrong.size} of #{Proof::TABLE.size} rows prove nothing" if wrong.any?
  puts "#{Proof::TABLE.size} passed, 0 failed"
end

# One row: its example passes as it is, and fails as expected with the mechanism off.
class ProofRun
  def initialize(row)
    @row = row
  end

  def call
    healthy = run({})
    return [false, "it is to pass as it is: #{summary(healthy)}"] unless outcome(healthy) == ["passed"]

    broken = run("POOLKEEPER_OFF" => @row.off)
    return [false, "it is to fail: #{summary(broken)}"] unless outcome(broken) == ["failed"]

    text = message(broken)
    [@row.fails_with.match?(text), "another failure than expected: #{text}"]
  end

  private

  def run(environment)
    out, = Open3.capture2e(environment, "timeout", "-k1", "100", "rspec", "spec/#{@row.spec}.rb",
                           "-e", @row.example, "--format", "json", "--out", "/dev/fd/1")
    JSON.parse(out[/\{"version".*\}\s*\z/m] || "{}")
  rescue JSON::ParserError
    {}
  end

  def outcome(result)
    result.fetch("examples", []).map { |example| example["status"] }
  end

  def message(result)
    result.dig("examples", 0, "exception", "message").to_s
  end

  def summary(result)
    result["summary_line"] || "it did not run"
  end
end
