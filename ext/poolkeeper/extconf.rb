# frozen_string_literal: true

# Builds the Rust library. With the rb_sys gem that gem does it, cross-compiling included; without it, on machines that
# reach no gem server, the Makefile written here runs cargo.
require "rbconfig"
require "shellwords"

# What the build needs, asked before it starts: bindgen takes over a minute to say that libclang is missing.
module Requirements
  # Ask Cargo.toml, which says why.
  RUST = File.read(File.expand_path("../../Cargo.toml", __dir__))[/^rust-version = "([\d.]+)"/, 1]

  module_function

  def check
    problems = [rust_problem, libclang_problem, header_problem, compiler_problem].compact
    return if problems.empty?

    abort "poolkeeper cannot be built on this machine:\n#{problems.map { |problem| "  * #{problem}\n" }.join}"
  end

  def rust_problem
    found = version_of("rustc")
    cargo = version_of(ENV.fetch("CARGO", "cargo"))
    remedy = "install the current one with `curl https://sh.rustup.rs -sSf | sh`, or `rustup update stable`"
    return "Rust #{RUST} or later is needed, and no rustc was found on the PATH: #{remedy}" unless found
    return "cargo was not found on the PATH, though rustc #{found} was: #{remedy}" unless cargo
    return if Gem::Version.new(found) >= Gem::Version.new(RUST)

    "Rust #{RUST} or later is needed, and rustc #{found} was found: #{remedy}"
  end

  def version_of(program)
    `#{program.shellescape} --version 2>&1`[/(\d+\.\d+\.\d+)/, 1]
  rescue SystemCallError
    nil
  end

  def libclang_problem
    return if libclang_folders.any? { |folder| Dir.glob(File.join(folder, "libclang{,-*}.{so,so.*,dylib,dll}")).any? }

    "libclang is needed to read Ruby's headers, and was found neither in LIBCLANG_PATH nor among the libraries: " \
      "`apt-get install libclang-dev` (Debian, Ubuntu), `dnf install clang-devel` (Fedora), `brew install llvm` (macOS)"
  end

  def libclang_folders
    return [ENV["LIBCLANG_PATH"], File.dirname(ENV["LIBCLANG_PATH"])] if ENV["LIBCLANG_PATH"]

    llvm_config = ENV.fetch("LLVM_CONFIG_PATH", "llvm-config")
    told = version_of(llvm_config) ? [`#{llvm_config.shellescape} --libdir`.strip] : []
    told + Dir.glob(%w[/usr/lib /usr/lib64 /usr/lib/*-linux-* /usr/lib/llvm*/lib /usr/local/lib /usr/local/llvm*/lib
                       /opt/homebrew/opt/llvm/lib /usr/local/opt/llvm/lib /Library/Developer/CommandLineTools/usr/lib])
  end

  # SQLite and the cryptography of TLS are C.
  def compiler_problem
    compiler = ENV.fetch("CC", "cc")
    return if version_of(compiler)

    "a C compiler is needed, and #{compiler} was not found on the PATH: `apt-get install gcc libc6-dev` (Debian, " \
      "Ubuntu)"
  end

  def header_problem
    return if File.exist?(File.join(RbConfig::CONFIG["rubyhdrdir"].to_s, "ruby.h"))

    "Ruby's headers are needed, and Ruby #{RUBY_VERSION} has none: `apt-get install ruby-dev` (Debian, Ubuntu)"
  end
end

# A Makefile that runs cargo and puts the library where Ruby looks for it.
module Makefile
  CRATE = "poolkeeper"

  module_function

  def write
    File.write("Makefile", text)
  end

  def text
    config = RbConfig::CONFIG
    <<~MAKE
      CARGO ?= cargo
      sitearchdir = #{config["sitearchdir"]}
      target_prefix = /#{CRATE}
      DLLIB = #{CRATE}.#{config["DLEXT"]}
      TARGET = #{target.shellescape}
      export RUBY = #{RbConfig.ruby}

      .PHONY: all install clean distclean realclean FORCE
      all: $(DLLIB)

      FORCE:
      $(DLLIB): FORCE
      \t$(CARGO) rustc --manifest-path #{File.join(__dir__, "Cargo.toml").shellescape} --lib --locked --profile #{profile} --target-dir $(TARGET) #{linker_flags}
      \tcp -f $(TARGET)/#{built} $@

      install: $(DLLIB)
      \tmkdir -p "$(DESTDIR)$(sitearchdir)$(target_prefix)"
      \tcp -f $(DLLIB) "$(DESTDIR)$(sitearchdir)$(target_prefix)/"
      \trm -f $(DLLIB)
      #{"\trm -rf $(TARGET)" unless ENV["CARGO_TARGET_DIR"]}

      clean:
      \trm -f $(DLLIB)
      #{"\trm -rf $(TARGET)" unless ENV["CARGO_TARGET_DIR"]}

      distclean realclean: clean
    MAKE
  end

  # A target folder that somebody else set is theirs: it is used, and never removed.
  def target
    ENV["CARGO_TARGET_DIR"] || File.join(Dir.pwd, "target")
  end

  def profile
    ENV.fetch("POOLKEEPER_PROFILE", "release")
  end

  def built
    config = RbConfig::CONFIG
    folder = profile == "dev" ? "debug" : profile
    library = "#{"lib" unless config["SOEXT"] == "dll"}#{CRATE}.#{config["SOEXT"]}"
    File.join(*[ENV["CARGO_BUILD_TARGET"], folder, library].compact)
  end

  def linker_flags
    "-- -C link-arg=-Wl,-undefined,dynamic_lookup" if RbConfig::CONFIG["target_os"].include?("darwin")
  end
end

Requirements.check
begin
  require "rb_sys/mkmf"
  create_rust_makefile("poolkeeper/poolkeeper")
rescue LoadError
  Makefile.write
end
