# frozen_string_literal: true

require "spec_helper"
require_relative "../support/network"
require "open3"
require "rbconfig"
require "tmpdir"

RSpec.describe Support::Network, :once do
  # Two processes in networks of their own, as the fault suite has them; what the second says comes back.
  servers = <<~RUBY
    require "io/wait"
    require "socket"
    require #{File.expand_path("../support/network", __dir__).dump}
    Network = Support::Network
    Network.prepare
    Network::ADDRESSES.each do |address|
      server = TCPServer.new(address, 7000)
      Thread.new { loop { Thread.new(server.accept) { |one| one.puts(address) while one.gets } } }
    end
    name = Network::Name.new(File.join(ARGV[0], "hosts"), Network::ADDRESSES[0])
    script = File.join(ARGV[0], "child.rb")
    child = IO.popen(Network.apart(#{RbConfig.ruby.dump}, script, ARGV[0]), "r+")
    child.gets
    link = Network::Link.new(child.pid, 7)
    steps = { "cut" => -> { link.cut }, "mend" => -> { link.mend }, "move" => -> { name.move(Network::ADDRESSES[1]) } }
    child.puts("joined")
    while (line = child.gets)
      next puts(line) unless steps.key?(line.chomp)

      steps[line.chomp].call
      child.puts("done")
    end
  RUBY
  client = <<~RUBY
    require "io/wait"
    require "socket"
    require #{File.expand_path("../support/network", __dir__).dump}
    $stdout.sync = true
    puts "here"
    $stdin.gets
    Support::Network::Link.join(7)
    Support::Network::Name.mount(File.join(ARGV[0], "hosts"))
    socket = TCPSocket.new(Support::Network::Name.host, 7000)
    socket.puts("hello")
    puts "answers " + socket.gets
  RUBY

  define_method(:said) do |steps|
    Dir.mktmpdir do |folder|
      File.write(File.join(folder, "child.rb"), client + steps)
      out, status = Open3.capture2e(*described_class.apart(RbConfig.ruby, "-e", servers, folder))
      expect(status).to be_success, out
      out.lines.map(&:chomp)
    end
  end

  it "swallows what is sent over a link that is cut, and delivers it once that is mended" do
    expect(said(<<~RUBY)).to eq(["answers 10.77.0.1", "silence", "no one there", "answers 10.77.0.1"])
      $stdout.write("cut\\n"); $stdin.gets
      socket.puts("hello")
      puts socket.wait_readable(0.5) ? "something" : "silence"
      begin
        Socket.tcp("10.77.0.2", 7000, connect_timeout: 0.5) { puts "connected" }
      rescue Errno::ETIMEDOUT
        puts "no one there"
      end
      $stdout.write("mend\\n"); $stdin.gets
      puts "answers " + socket.gets
    RUBY
  end

  it "moves a name under whoever asks for it anew, and leaves the machine's own names alone" do
    before = File.read("/etc/hosts")
    expect(said(<<~RUBY)).to eq(["answers 10.77.0.1", "answers 10.77.0.2"])
      $stdout.write("move\\n"); $stdin.gets
      other = TCPSocket.new(Support::Network::Name.host, 7000)
      other.puts("hello")
      puts "answers " + other.gets
    RUBY
    expect(File.read("/etc/hosts")).to eq(before)
  end
end
