# frozen_string_literal: true

# The process in the servers' namespace: is asked for runs line by line, and answers each with what came of it.
require "json"
require_relative "theatre"

Support::Faults::Theatre.open do |theatre|
  $stdout.puts(JSON.generate(ready: true))
  $stdout.flush
  while (line = $stdin.gets)
    asked = JSON.parse(line, symbolize_names: true)
    begin
      fault = Support::Faults.find(asked.fetch(:fault), **asked.fetch(:options))
      verdicts = theatre.run(fault, asked.fetch(:subjects), seed: asked.fetch(:seed))
      told = verdicts.map do |subject, verdict|
        { line: "#{subject.title}: #{verdict}", wrong: verdict.wrong, said: verdict.wrong.any? ? subject.said : "",
          figures: verdict.figures }
      end
      answer = { told: told }
    rescue StandardError => e
      answer = { error: e.full_message(highlight: false) }
    end
    $stdout.puts(JSON.generate(answer))
    $stdout.flush
  end
end
