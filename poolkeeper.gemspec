# frozen_string_literal: true

require_relative "lib/poolkeeper/version"

Gem::Specification.new do |spec|
  spec.name = "poolkeeper"
  spec.version = Poolkeeper::VERSION
  spec.summary = "Keeps the database connections of Karafka's workers released, verified and recovered."
  spec.description = "Gives ActiveRecord's connections back after each job, for every role and shard; replaces dead " \
                     "ones before anybody asks for them; never hands on an open transaction. Pools of its own for " \
                     "PostgreSQL, MySQL, MariaDB and SQLite. With a core in Rust."
  spec.authors = ["The poolkeeper maintainers"]
  spec.license = "MIT"
  spec.required_ruby_version = ">= 3.1"
  spec.metadata["rubygems_mfa_required"] = "true"

  # The root manifest and lock belong in: cargo is always called with --locked.
  spec.files = Dir.chdir(__dir__) do
    Dir["lib/**/*.rb", "ext/**/*.{rs,rb,toml}", "sig/*.{rbs,yaml}", "docs/*.md", "examples/*.rb", "Cargo.{toml,lock}",
        "clippy.toml", "rustfmt.toml", "README.md", "CHANGELOG.md", "LICENSE.txt"]
  end
  spec.require_paths = ["lib"]
  spec.extensions = ["ext/poolkeeper/extconf.rb"]

  # No runtime dependency: ActiveRecord, Karafka and the drivers are the application's own, and so is bigdecimal, which
  # only those need who read numbers with decimal places over a native pool.
end
