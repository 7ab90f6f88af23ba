# frozen_string_literal: true

require_relative "../support/proc"
require_relative "../support/wait"
require "socket"

RSpec.describe Support do
  describe ".wait_until" do
    it "returns the block's value as soon as it is true" do
      looks = 0
      expect(described_class.wait_until { (looks += 1) == 3 && :value }).to eq(:value)
      expect(looks).to eq(3)
    end

    it "raises with the message at the deadline, and not before" do
      began = described_class.now
      expect { described_class.wait_until(timeout: 0.05, message: -> { "it rains" }) { false } }
        .to raise_error(described_class::DeadlineError, "not within 0.05 s: it rains")
      expect(described_class.now - began).to be_between(0.05, 1)
    end

    it "looks once even when there is no time" do
      expect(described_class.wait_until(timeout: 0) { true }).to be(true)
    end
  end

  describe Support::Proc do
    it "knows the descriptors of this process" do
      File.open(__FILE__) { |file| expect(described_class.fds[file.fileno]).to eq(__FILE__) }
    end

    loopback = Socket.ip_address_list.select { |address| address.ipv4_loopback? || address.ipv6_loopback? }
    loopback.map(&:ip_address).each do |address|
      it "counts the sockets towards a port of #{address}, also those that the server has closed" do
        server = TCPServer.new(address, 0)
        port = server.local_address.ip_port
        clients = Array.new(2) { TCPSocket.new(address, port) }
        expect(described_class.sockets_to(port)).to eq(2)

        2.times { server.accept.close }
        clients.each(&:wait_readable)
        expect(described_class.sockets_to(port)).to eq(2)

        clients.first.close
        expect(described_class.sockets_to(port)).to eq(1)
      ensure
        [server, *clients].each { |socket| socket&.close }
      end
    end

    it "counts the sockets between ports until the end of the connection has arrived" do
      server = TCPServer.new("127.0.0.1", 0)
      port = server.local_address.ip_port
      clients = Array.new(2) { TCPSocket.new("127.0.0.1", port) }
      accepted = Array.new(2) { server.accept }
      ports = clients.map { |client| client.local_address.ip_port }
      expect([ports, ports.take(1), []].map { |some| described_class.established(some, port) }).to eq([2, 1, 0])
      expect(described_class.established([port], ports.first)).to eq(1)

      accepted.find { |socket| socket.remote_address.ip_port == ports.first }.close
      clients.first.wait_readable
      expect(described_class.established(ports, port)).to eq(1)
      expect(described_class.established(ports.take(1), port)).to eq(0)
    ensure
      [server, *clients, *accepted].each { |socket| socket&.close }
    end

    it "knows the threads by name" do
      thread = Thread.new { sleep }
      thread.name = "drowsy"
      Support.wait_until { described_class.threads.value?("drowsy") }
      expect(described_class.threads).to include(Process.pid)
    ensure
      thread&.kill&.join
    end

    it "knows the memory of this and of another process" do
      expect(described_class.rss).to be > 5 * 1024 * 1024
      expect(described_class.rss(Process.ppid)).to be > 0
    end
  end
end
