# frozen_string_literal: true

desc "Ten minutes of healthy load on both families of servers: nobody is harmed (SOAK_MINUTES=10)"
task soak: :compile do
  minutes = ENV.fetch("SOAK_MINUTES", "10")
  ENV.update(active_record_environment(ENV.fetch("POOLKEEPER_ACTIVERECORD", "7.2")))
  families = ENV.fetch("POOLKEEPER_DATABASE", "postgresql mariadb").split
  runs = families.map do |family|
    # With an arena for each thread that ever was, memory would tell of the allocator and not of us.
    spawn({ "POOLKEEPER_DATABASE" => family, "MALLOC_ARENA_MAX" => "2" }, "ruby", "-Ilib", "soak/run.rb", minutes)
  end
  statuses = runs.map { |pid| Process.wait2(pid).last }
  abort "somebody was harmed" unless statuses.all?(&:success?)
end
