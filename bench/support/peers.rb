# frozen_string_literal: true

require "open3"

module Bench
  # The pools of Rust, in a process of their own that is asked by lines; see bench/peers/src/main.rs.
  class Peers
    CRATE = File.expand_path("../peers", __dir__)
    # Beside the extension's own: cargo rebuilds nothing that has not changed.
    TARGET = File.expand_path("../../tmp/bench-peers", __dir__)

    class << self
      # @return [Boolean] whether they can be built here; where not, why is printed
      def built?
        @built = build if @built.nil?
        @built
      end

      # @param url [String]
      # @param size [Integer] of each pool
      # @yieldparam peers [Peers, nil] none where they cannot be built; ended after the block
      def open(url, size)
        peers = new(url, size) if built?
        yield peers
      ensure
        peers&.close
      end

      private

      def build
        puts "  building the peers of Rust"
        output, status = Open3.capture2e({ "CARGO_TARGET_DIR" => TARGET }, "cargo", "build", "--release", "--locked",
                                         "--quiet", chdir: CRATE)
        puts output unless status.success?
        status.success?
      rescue Errno::ENOENT
        puts "  there is no cargo"
        false
      end
    end

    def initialize(url, size)
      # Without TLS, as it was built.
      @io = IO.popen([File.join(TARGET, "release", "bench-peers"), "#{url}?sslmode=disable", size.to_s], "r+")
    end

    # @return [Array<Float>] nanoseconds per acquire and release: of CPU, and of time
    def turns(name, count)
      ask("turns #{name} #{count}").split.map { |number| Float(number) }
    end

    # @return [Integer] connections that are idle after each was used
    def fill(name)
      Integer(ask("fill #{name}"))
    end

    # @return [Integer] how many statements failed
    def statements(name, rounds)
      Integer(ask("statements #{name} #{rounds}"))
    end

    def close
      @io.close
    end

    private

    def ask(command)
      @io.puts(command)
      answer = @io.gets or raise "the peers of Rust ended early"
      answer.start_with?("error: ") ? raise("the peers of Rust, asked to #{command}: #{answer}") : answer.chomp
    end
  end
end
