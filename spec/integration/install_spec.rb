# frozen_string_literal: true

require "spec_helper"
require "fileutils"
require "open3"
require "rbconfig"
require "tmpdir"

RSpec.describe "The gem", :once do
  root = File.expand_path("../..", __dir__)

  # Runs a command outside of the project, with nothing of the suite's own Ruby settings.
  def self.outside(*command, chdir:, **environment)
    without = %w[RUBYOPT RUBYLIB GEM_PATH GEM_HOME].to_h { |name| [name, nil] }
    Open3.capture2e(without.merge(environment.transform_keys(&:to_s)), *command, chdir: chdir, stdin_data: "")
  end

  def self.outside!(*command, **options)
    said, status = outside(*command, **options)
    status.success? ? said : raise("#{command.join(" ")} ended with #{status}:\n#{said}")
  end

  # Bounded, though not by the minute that an example has: a build from nothing takes longer.
  define_singleton_method(:install) do |place|
    gem = [RbConfig.ruby, "-S", "gem"]
    copy = File.join(place, "source")
    FileUtils.mkdir_p([copy, File.join(place, "home"), File.join(place, "elsewhere")])
    # A tree of its own: the project's may be worked on.
    names = %w[lib ext Cargo.toml Cargo.lock clippy.toml rustfmt.toml poolkeeper.gemspec LICENSE.txt]
    FileUtils.cp_r(names.map { |name| File.join(root, name) }, copy)
    FileUtils.rm_f(Dir[File.join(copy, "lib/**/*.so")])
    outside!(*gem, "build", "poolkeeper.gemspec", chdir: copy)
    file = Dir[File.join(copy, "poolkeeper-*.gem")].fetch(0)
    home = File.join(place, "home")
    outside!("timeout", "-k1", "1800", *gem, "install", "--local", "--no-document", "--install-dir", home, file,
             chdir: File.join(place, "elsewhere"), GEM_HOME: home, GEM_PATH: home)
  end

  before(:context) do
    @place = Dir.mktmpdir("poolkeeper-install")
    @said = self.class.install(@place)
  end

  after(:context) { FileUtils.rm_rf(@place) }

  let(:home) { File.join(@place, "home") }
  let(:installed) { Dir[File.join(home, "gems/poolkeeper-*")].fetch(0) }

  def ruby(script)
    elsewhere = File.join(@place, "elsewhere")
    self.class.outside(RbConfig.ruby, "-w", "-e", script, chdir: elsewhere, GEM_HOME: home, GEM_PATH: home)
  end

  it "installs into an empty GEM_HOME, and works from there in any folder" do
    said, status = ruby(<<~RUBY)
      require "poolkeeper"
      p Poolkeeper.release
      puts $LOADED_FEATURES.grep(/poolkeeper/)
    RUBY
    expect(said.lines.first).to eq("0\n")
    expect(status).to be_success
    expect(said.lines.drop(1)).to all(start_with(home))
  end

  it "leaves nothing of its build behind" do
    files = Dir[File.join(home, "**/*")].select { |path| File.file?(path) }
    left = files.grep(%r{/target/|\.(?:o|d|rlib|rmeta|a)\z|/incremental/})
    large = files.reject { |path| path.end_with?(".#{RbConfig::CONFIG["DLEXT"]}", ".gem") }
                 .select { |path| File.size(path) > 300_000 }
    expect([left, large]).to eq([[], []])
  end

  it "ships what a build needs, and nothing of the project beside it" do
    names = Dir[File.join(installed, "**/*")].map { |path| path.delete_prefix("#{installed}/") }
    expect(names).to include("Cargo.toml", "Cargo.lock", "ext/poolkeeper/extconf.rb", "ext/core/src/lib.rs")
    expect(names.grep(/\A(?:spec|bench|demo|bin|tmp|\.)/)).to be_empty
    expect(File.size(Dir[File.join(home, "cache/*.gem")].fetch(0))).to be < 500_000
  end
end

RSpec.describe "extconf.rb", :once do
  around { |example| Dir.mktmpdir("poolkeeper-extconf") { |place| (@place = place) && example.run } }

  # @return [Array(String, Process::Status)]
  def configure(**environment)
    work = File.join(@place, "work").tap { |path| FileUtils.mkdir_p(path) }
    extconf = File.join(File.expand_path("../..", __dir__), "ext/poolkeeper/extconf.rb")
    clean = { RUBYOPT: nil, RUBYLIB: nil, **environment }.transform_keys(&:to_s)
    Open3.capture2e(clean, RbConfig.ruby, extconf, chdir: work, stdin_data: "")
  end

  # A folder of programs that answer `--version`.
  def programs(**versions)
    folder = File.join(@place, "bin").tap { |path| FileUtils.mkdir_p(path) }
    versions.each do |name, version|
      text = "#!/bin/sh\necho '#{name} #{version} (abcdef 2022-08-08)'\n"
      File.write(File.join(folder, name.to_s), text, perm: 0o755)
    end
    folder
  end

  def refuses(said, status, *patterns)
    expect(status).not_to be_success
    expect(said).to include("cannot be built on this machine")
    patterns.each { |pattern| expect(said).to match(pattern) }
    expect(File.exist?(File.join(@place, "work/Makefile"))).to be(false)
  end

  it "says before the build that Rust is missing, which one is needed and how it is installed" do
    refuses(*configure(PATH: programs), /Rust 1\.\d+ or later is needed/, /no rustc was found/, /rustup/)
  end

  it "says which Rust it found where it is too old" do
    old = programs(rustc: "1.63.0", cargo: "1.63.0")
    refuses(*configure(PATH: old), /Rust 1\.\d+ or later/, /rustc 1\.63\.0/, /rustup update/)
  end

  it "says that cargo is missing where rustc is there" do
    refuses(*configure(PATH: programs(rustc: "1.99.0")), /cargo was not found/, /rustc 1\.99\.0/, /rustup/)
  end

  it "says that libclang is missing, and which package has it" do
    empty = File.join(@place, "none/none").tap { |path| FileUtils.mkdir_p(path) }
    refuses(*configure(PATH: programs(rustc: "1.99.0", cargo: "1.99.0"), LIBCLANG_PATH: empty),
            /libclang is needed/, /LIBCLANG_PATH/, /apt-get install libclang-dev/)
  end

  it "says all of it at once" do
    empty = File.join(@place, "none/none").tap { |path| FileUtils.mkdir_p(path) }
    refuses(*configure(PATH: programs, LIBCLANG_PATH: empty), /rustup/, /libclang-dev/, /C compiler.*gcc/)
  end

  it "writes a Makefile, and builds nothing, where all is there" do
    said, status = configure(PATH: programs(rustc: "1.99.0", cargo: "1.99.0", cc: "12.2.0"))
    expect([said, status.success?]).to match([anything, true])
    expect(Dir.children(File.join(@place, "work"))).to eq(["Makefile"])
  end
end
