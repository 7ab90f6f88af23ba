# frozen_string_literal: true

desc "Ten minutes on both families of servers: healthy load harms nobody, and a native pool comes through kills and " \
     "restarts (SOAK_MINUTES=10, SOAK_SEED)"
task soak: :compile do
  minutes = ENV.fetch("SOAK_MINUTES", "10")
  ENV.update(active_record_environment(ENV.fetch("POOLKEEPER_ACTIVERECORD", "7.2")))
  families = ENV.fetch("POOLKEEPER_DATABASE", "postgresql mariadb").split
  runs = families.product(%w[soak/run.rb soak/native/run.rb]).map do |family, script|
    # With an arena for each thread that ever was, memory would tell of the allocator and not of us.
    spawn({ "POOLKEEPER_DATABASE" => family, "MALLOC_ARENA_MAX" => "2" }, "ruby", "-Ilib", script, minutes)
  end
  statuses = runs.map { |pid| Process.wait2(pid).last }
  abort "somebody was harmed, or something was left" unless statuses.all?(&:success?)
end
