# frozen_string_literal: true

desc "Every fault to every kind of worker on both families of servers, then ten minutes of a mix " \
     "(FAULTS_SEED=1 FAULTS_ONLY=kill,mix FAULTS_WORKERS=5 FAULTS_MANNER=plain FAULTS_MINUTES=10)"
task faults: :compile do
  ENV.update(active_record_environment(ENV.fetch("POOLKEEPER_ACTIVERECORD", "7.2")))
  families = ENV.fetch("POOLKEEPER_DATABASE", "postgresql mariadb").split
  # At once: most of a run's time is waiting for what is done to the servers.
  runs = families.map do |family|
    spawn({ "POOLKEEPER_DATABASE" => family, "MALLOC_ARENA_MAX" => "2" }, "ruby", "-Ilib", "spec/faults/long.rb")
  end
  statuses = runs.map { |pid| Process.wait2(pid).last }
  abort "a fault has cost more than it must" unless statuses.all?(&:success?)
end
