# frozen_string_literal: true

require "fileutils"
require "open3"
require "rbconfig"

module Support
  # The library with the feature `trip`, in which panics can be forced and Rust's frames are counted. It is built once a
  # run, in the target folder of Rust's own tests, whose dependencies are the same, and copied out of there.
  module Trip
    ROOT = File.expand_path("../..", __dir__)
    TARGET = File.join(ROOT, "target")

    class << self
      # @return [String] a folder for the load path that has the library in the place where the gem looks for it
      def folder
        @folder ||= File.join(TARGET, "trip", "lib").tap do |folder|
          build
          install(File.join(folder, "poolkeeper"))
        end
      end

      # For scripts, to come before anything that loads the gem: `trip` arms a place, for everybody or for this thread,
      # after so many have passed by.
      def prelude
        <<~RUBY
          $LOAD_PATH.unshift(#{folder.dump})
          # Looking up its symbols takes longer than all else.
          ENV["RUST_BACKTRACE"] = "0"
          def trip(place, times = 1, skip: 0, here: false) = Poolkeeper::Trip._arm(place, skip, times, here)
          def tripped(place) = Poolkeeper::Trip._tripped(place)
        RUBY
      end

      private

      # Quick where nothing has changed. From nothing it takes longer than an example may.
      def build
        command = %W[cargo rustc --manifest-path #{ROOT}/ext/poolkeeper/Cargo.toml --lib --locked --features trip
                     --target-dir #{TARGET}]
        environment = { "RUBY" => RbConfig.ruby, "RUBYOPT" => nil }
        said, status = Open3.capture2e(environment, "timeout", "-k1", "900", *command, chdir: ROOT, stdin_data: "")
        raise "the library with panics was not built (#{status}):\n#{said}" unless status.success?
      end

      def install(folder)
        library = File.join(folder, "poolkeeper.#{RbConfig::CONFIG["DLEXT"]}")
        copy = "#{library}.#{Process.pid}"
        FileUtils.mkdir_p(folder)
        FileUtils.cp(File.join(TARGET, "debug", "libpoolkeeper.#{RbConfig::CONFIG["SOEXT"]}"), copy)
        # Renamed into its place, as another process may have the old one mapped.
        FileUtils.mv(copy, library)
      end
    end
  end
end
