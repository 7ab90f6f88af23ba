# frozen_string_literal: true

require "rbconfig"

desc "Build the Rust library into lib/poolkeeper (POOLKEEPER_PROFILE=dev for a quick build)"
task :compile do
  # bin/test has built it, and others are at work with it.
  next if ENV["POOLKEEPER_COMPILED"]

  root = File.expand_path("..", __dir__)
  build = ENV.fetch("POOLKEEPER_BUILD_DIR", File.join(root, "tmp", "build", RUBY_VERSION))
  mkdir_p build, verbose: false
  chdir(build, verbose: false) do
    sh RbConfig.ruby, File.join(root, "ext", "poolkeeper", "extconf.rb"), verbose: false
    sh "make", verbose: false
    # Renamed into its place: a process that has the old one mapped would crash if it were written over.
    library = File.join(root, "lib", "poolkeeper", "poolkeeper.#{RbConfig::CONFIG["DLEXT"]}")
    cp File.basename(library), "#{library}.new", verbose: false
    mv "#{library}.new", library, verbose: false
  end
end
