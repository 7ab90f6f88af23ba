# frozen_string_literal: true

require "json"
require "open3"

# On 7.2.3 or later: earlier ones look at each connection themselves, which hides the failures.
desc "Show that each invariant's spec fails where its mechanism is switched off, and how (POOLKEEPER_DATABASE=mariadb)"
task proof: :compile do
  ENV.update(active_record_environment("7.2"))
  require_relative "../spec/proof/table"
  families = ENV.fetch("POOLKEEPER_DATABASE", "postgresql mariadb").split
  proofs = families.map { |family| Proof::Run.new(family) }
  # Each family on a thread of its own: most of a row's time is the start of a process.
  wrong = proofs.map { |proof| Thread.new { proof.wrong } }.flat_map(&:value)
  all = proofs.sum { |proof| proof.rows.size }
  abort ["", *wrong, "#{wrong.size} of #{all} rows prove nothing"].join("\n") if wrong.any?
  puts "#{all} passed, 0 failed"
end

module Proof
  # The rows on one family of servers: each example passes as it is, and fails as expected with its mechanism off.
  class Run
    # @return [String] "postgresql" or "mariadb"
    attr_reader :family

    def initialize(family)
      @family = family
    end

    def rows
      TABLE.select { |row| row.on?(family.to_sym) }
    end

    # Says of each row what came of it.
    # @return [Array<String>] what was said of those that prove nothing
    def wrong
      rows.filter_map do |row|
        proven, reason = call(row)
        line = format("%<mark>-6s %<invariant>-50s on: %<on>-11s off: %<off>s",
                      mark: proven ? "ok" : "WRONG", invariant: row.invariant, on: family, off: row.off)
        said = [line, *(reason.gsub(/^/, "       ") unless proven)].join("\n")
        # In one piece, for the other family's lines come in between.
        $stdout.write("#{said}\n")
        said unless proven
      end
    end

    def call(row)
      healthy = as_it_is.select { |example| of?(row, example) }
      return [false, "it is to pass as it is: #{said(healthy)}"] unless outcome(healthy) == ["passed"]

      broken = examples([row], "POOLKEEPER_OFF" => row.off)
      return [false, "it is to fail: #{said(broken)}"] unless outcome(broken) == ["failed"]

      text = message(broken.first)
      [row.fails_with.match?(text), "another failure than expected: #{text}"]
    end

    private

    # All of them in one process.
    def as_it_is
      @as_it_is ||= examples(rows, {})
    end

    def of?(row, example)
      example["full_description"].include?(row.example) && example["file_path"].end_with?("/#{row.spec}.rb")
    end

    def examples(rows, environment)
      chosen = rows.flat_map { |row| ["-e", row.example] }
      files = rows.map { |row| "spec/#{row.spec}.rb" }.uniq
      out, = Open3.capture2e({ "POOLKEEPER_DATABASE" => family, **environment }, "timeout", "-k1", "200",
                             "rspec", *files, *chosen, "--format", "json", "--out", "/dev/fd/1")
      JSON.parse(out[/\{"version".*\}\s*\z/m] || "{}").fetch("examples", [])
    rescue JSON::ParserError
      []
    end

    def outcome(examples)
      examples.map { |example| example["status"] }
    end

    def message(example)
      example.dig("exception", "message").to_s
    end

    def said(examples)
      return "it did not run, or more than one did" unless examples.size == 1

      "it #{examples.first["status"]}; #{message(examples.first)}"
    end
  end
end
