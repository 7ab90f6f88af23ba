# frozen_string_literal: true

require "spec_helper"
require_relative "../support/wait_points"

# Looks for everything that can wait, so that no place is without its interrupts (spec/integration/interrupts_spec.rb).
RSpec.describe "The list of the places where poolkeeper waits" do
  root = File.expand_path("../..", __dir__)

  # What can wait in Ruby: threads, queues, locks, time, sockets; what takes a pool's lock; what talks to a server; and
  # code of the application's that runs on a thread of ours.
  ruby = /
    \.(?:join|pop|value|lock|synchronize|mon_enter|mon_synchronize|wait\w*|read|gets)\b(?!\(") |
    \.(?:connections|stat|num_waiting_in_queue|checkout|checkin|release_connection|remove|reap|flush)\b |
    \.(?:(?:disconnect|reconnect|verify|reset|flush)!|active\?|(?:select|exec|rollback)_\w+|execute\b) |
    \b(?:sleep|_next)\(|\bIO\.|\bThread\.new\b |
    subscriber\.call|logger&\.
  /x
  # ... and in Rust.
  rust = /
    rb_nogvl|rb_thread_call_without_gvl|gvl::wait\(|\bwait_for\(|\bpoll\(|epoll::wait\(|block_on|sleep\(|
    Condvar|\.recv\(|\.join\(\)
  /x
  # What looks the same and is not.
  harmless = /\.keys\.join|\A\s*use\s/

  # What others test, in files of their own.
  elsewhere = Support::WaitPoints::ELSEWHERE
  language = Struct.new(:files, :waits, :head, :comment)
  ruby = language.new("lib/**/*.rb", ruby, /^\s*def (?:self\.)?([\w?!]+)/, /^\s*#.*|\s# .*/)
  rust_head = /^\s*(?:pub(?:\([^)]*\))? )?(?:async )?(?:unsafe )?(?:extern "C" )?fn (\w+)/
  rust = language.new("ext/*/src/**/*.rs", rust, rust_head, %r{^\s*//.*})

  # Each method with a line that can wait, as "file#method".
  found = [ruby, rust].flat_map do |one|
    # A test of Rust's waits for whatever it likes.
    Dir[File.join(root, one.files)].reject { |path| path.include?("/tests/") }.flat_map do |path|
      method = nil
      File.read(path).split("#[cfg(test)]").first.lines.filter_map do |line|
        code = line.sub(one.comment, "")
        method = code[one.head, 1] || method
        waits = code.sub(one.head, "").match?(one.waits) && !code.match?(harmless)
        "#{path.delete_prefix("#{root}/")}##{method}" if waits
      end
    end
  end.uniq
  listed = Support::WaitPoints.all.flat_map(&:at).uniq + Support::WaitPoints::NEVER.keys + elsewhere.keys

  found.each do |place|
    it "has #{place}" do
      expect(listed).to include(place)
    end
  end

  elsewhere.each do |place, (spec, example)|
    it "has its examples elsewhere (#{place})" do
      expect(File.read(File.join(root, "spec", spec))).to include(example)
    end
  end

  it "has no place that is gone" do
    # What waits may be below a method that is named to tell two ways from each other.
    ways = %w[poolkeeper.rb#wrap poolkeeper/background.rb#tidy poolkeeper/observed/eviction.rb#take
              poolkeeper/observed/eviction.rb#give_up].map { |method| "lib/#{method}" }
    expect(listed - found - ways).to eq([])
  end
end
