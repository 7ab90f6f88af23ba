# frozen_string_literal: true

# For whoever wants to know what a healthy system loses by poolkeeper: nothing.
desc "Ten minutes of healthy load, at whose end nothing was replaced and nothing has grown (SOAK_MINUTES=10)"
task soak: :compile do
  version = ENV.fetch("POOLKEEPER_ACTIVERECORD", "7.2")
  families = ENV.key?("POOLKEEPER_DATABASE") ? [ENV.fetch("POOLKEEPER_DATABASE")] : Properties.databases
  families.each do |database|
    sh(active_record_environment(version).merge("POOLKEEPER_DATABASE" => database, "MALLOC_ARENA_MAX" => "2"),
       "ruby", "-Ilib", "soak/run.rb", ENV.fetch("SOAK_MINUTES", "10"), verbose: false)
  end
end
