# frozen_string_literal: true

require "spec_helper"
require "socket"

# Read back from the kernel; what follows from them is the fault suite's.
RSpec.describe "Socket deadlines", :database do
  after { Poolkeeper.configure { |config| config.socket_deadline = 10 } }

  # TCP_USER_TIMEOUT in milliseconds, TCP_KEEPIDLE in seconds, SO_KEEPALIVE.
  def deadline_of(adapter)
    socket = Socket.for_fd(Poolkeeper::Observed::Driver.descriptor(adapter))
    socket.autoclose = false
    [socket.getsockopt(:TCP, 18).int, socket.getsockopt(:TCP, :KEEPIDLE).int,
     !socket.getsockopt(:SOCKET, :KEEPALIVE).int.zero?]
  end

  def used
    hold.select_value("SELECT 1")
    Poolkeeper.release
    hold
  end

  def system_idle
    File.read("/proc/sys/net/ipv4/tcp_keepalive_time").to_i
  end

  it "are set on every socket that comes back: 10 seconds in flight, asked after 5 of silence" do
    expect(deadline_of(used)).to eq([10_000, 5, true])
  end

  it "are as long as they are configured" do
    Poolkeeper.configure { |config| config.socket_deadline = 4 }
    expect(deadline_of(used)).to eq([4_000, 2, true])
  end

  it "leave sockets alone where they are off" do
    Poolkeeper.configure { |config| config.socket_deadline = false }
    expect(deadline_of(used).first(2)).to eq([0, system_idle])
  end

  it "give way to what the database configuration says", only: :postgresql do
    disconnect
    connect(tcp_user_timeout: 77_000, keepalives_idle: 33)
    expect(deadline_of(used)).to eq([77_000, 33, true])
  end

  it "leave a keepalive off that the database configuration switches off", only: :postgresql do
    disconnect
    connect(keepalives: 0)
    expect(deadline_of(used)).to eq([10_000, system_idle, false])
  end
end
