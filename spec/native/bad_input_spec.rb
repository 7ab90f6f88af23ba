# frozen_string_literal: true

require "spec_helper"
require "socket"

RSpec.describe "A native pool given what it cannot use", :native, :once, only: :postgresql do
  def secretly(path = "poolkeeper", user: "poolkeeper", host: server.host, port: server.port)
    "postgres://#{user}:hush-hush@#{host}:#{port}/#{path}"
  end

  # Nothing is left behind: no slot, no thread, no descriptor but the pipes to wait with, which are kept for the next
  # who waits.
  def without_trace(pool)
    before = [Support::Proc.fds, Thread.list]
    error, seconds = timed { error_of { pool.with(&:ping) } }
    expect(error.message).not_to include("hush-hush")
    wait_until(message: -> { "slots, of #{pool.stats}" }) do
      pool.stats.values_at(:leased, :opening, :waiting).sum.zero?
    end
    left = nil
    wait_until(message: -> { "these are left: #{left}" }) do
      descriptors = Support::Proc.fds.to_a - before[0].to_a
      left = [descriptors.reject { |_, target| target.start_with?("pipe:") }, Thread.list - before[1]]
      left.all?(&:empty?)
    end
    [error, seconds]
  end

  { "an unknown option" => [{ sise: 3 }, /no option sise; the options are size/],
    "a size of 0" => [{ size: 0 }, /size takes an Integer from 1/],
    "a size that is no number" => [{ size: "5" }, /size takes an Integer.*String/],
    "more kept than there may be" => [{ size: 1, min: 2 }, /min takes no more than size/],
    "a time that is none" => [{ checkout_timeout: 0 }, /checkout_timeout takes seconds, more than 0/] }
    .each do |what, (options, message)|
      it "says so (#{what})" do
        expect { Poolkeeper::Pool.new(server.url, **options) }
          .to raise_error(Poolkeeper::ConfigurationError, message)
      end
    end

  it "says so (a URL that is none, or of nothing it knows), without the password" do
    ["no url", "redis://u:hush-hush@h/1", "postgres://u:hush-hush@h:port/d", "postgres://u:hush-hush@h/d?nonsense=1",
     "postgres://u:hush-hush@h,i:port/d", "postgres://u:hush-hush@h,,i/d", "postgres://u:1,hush-hush/x@h/d",
     "postgres://u:hush-hush@h,i/d?target_session_attrs=hush-hush", "mysql://u:hush-hush@h,i/d"]
      .each do |url|
        error = error_of { Poolkeeper::Pool.new(url, size: 1) }
        expect(error).to be_a(Poolkeeper::ConfigurationError), "#{url}: #{error.inspect}"
        expect(error.message).not_to include("hush-hush")
      end
    expect { Poolkeeper::Pool.new(nil) }.to raise_error(Poolkeeper::ConfigurationError, /a URL is a String/)
  end

  it "says so (a name that no pool has)" do
    expect { Poolkeeper[:nowhere] }.to raise_error(Poolkeeper::ConfigurationError, /no pool :nowhere.*config.pool/)
  end

  it "names the database that is missing" do
    error, = without_trace(pool(secretly("nowhere")))
    expect(error).to have_attributes(class: Poolkeeper::ConnectionError, sqlstate: "3D000", fault: nil)
    expect(error.message).to match(/cannot connect to 127.0.0.1:\d+.*"nowhere" does not exist; look at the database/)
  end

  it "names a user that may not log in" do
    error, = without_trace(pool(secretly(user: "nobody")))
    expect(error).to have_attributes(class: Poolkeeper::ConnectionError, fault: nil)
    expect(error.message).to match(/look at the user and the password/)
  end

  it "fails at once where a connect is refused, and tells the real cause to everybody after" do
    port = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
    pool = pool(secretly(port: port))
    error, seconds = without_trace(pool)
    expect(error).to have_attributes(class: Poolkeeper::HostDownError, fault: :unreachable)
    expect(error.message).to match(/is down \(Connection refused/)
    expect(seconds).to be < 1
    again, seconds = timed { error_of { pool.with(&:ping) } }
    expect(again.message).to match(/Connection refused/)
    expect(seconds).to be < 0.2
  end

  it "gives up in time on a peer that accepts and says nothing" do
    TCPServer.open("127.0.0.1", 0) do |silent|
      error, seconds = without_trace(pool(secretly(port: silent.addr[1]), connect_timeout: 0.2))
      expect(error).to have_attributes(class: Poolkeeper::HostDownError)
      expect(error.message).to match(/no connection after 200ms \(connect_timeout\)/)
      expect(seconds).to be < 1.5
    end
  end

  it "names what it met where TLS is asked for and there is none" do
    error, = without_trace(pool("#{secretly}?sslmode=require"))
    expect(error).to have_attributes(class: Poolkeeper::ConnectionError)
    expect(error.message).to match(/TLS.*look at the certificates, and at sslmode/)
  end

  it "says that a peer speaks something else" do
    TCPServer.open("127.0.0.1", 0) do |other|
      speaker = Thread.new do
        client = other.accept
        client.readpartial(1024)
        client.write("HTTP/1.1 400 Bad Request\r\n\r\n")
        client.close
      end
      error, = without_trace(pool(secretly(port: other.addr[1]), connect_timeout: 1))
      expect(error).to be_a(Poolkeeper::ConnectionError)
      speaker.join
    end
  end
end
