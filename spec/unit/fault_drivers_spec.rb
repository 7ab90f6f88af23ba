# frozen_string_literal: true

require "spec_helper"
require "pg"
require_relative "../support/errors"

# That the facts of each driver's errors arrive, from real classes as far as this machine has them, else from
# look-alikes, which the names of the examples then say.
RSpec.describe Poolkeeper::Fault do
  include Support::Errors

  # A driver's error class under its real name: the real one, or a look-alike with the ancestors that count.
  def driver_class(name, superclass = StandardError, *modules, &body)
    return Object.const_get(name) if Object.const_defined?(name)

    type = Class.new(superclass) { modules.each { |mod| include mod } }
    type.class_eval(&body) if body
    stub_const(name, type)
  end

  def driver_module(name, *modules)
    return Object.const_get(name) if Object.const_defined?(name)

    stub_const(name, Module.new { modules.each { |mod| include mod } })
  end

  let(:gone) { "PQconsumeInput() server closed the connection unexpectedly\n" }

  describe "pg" do
    # Stands in for PG::Result, which only a server can make.
    def answer(type, sqlstate, severity = "ERROR", text = "ERROR:  it failed\n")
      fields = { "C".ord => sqlstate, "V".ord => severity }
      result = Object.new.tap { |object| object.define_singleton_method(:error_field) { |code| fields[code] } }
      PG.const_get(type).new(text).tap { |error| error.define_singleton_method(:result) { result } }
    end

    it "finds a refused connect" do
      port = Addrinfo.tcp("127.0.0.1", 0).bind { |socket| socket.local_address.ip_port }

      expect { PG.connect(host: "127.0.0.1", port:, connect_timeout: 2) }
        .to raise_error(PG::ConnectionBad) { |error| expect(described_class.of(error)).to eq(:unreachable) }
    end

    it "finds a closed connection" do
      expect(described_class.of(raised(PG::ConnectionBad.new("connection is closed")))).to eq(:dead)
      expect(described_class.of(raised(PG::UnableToSend.new("no connection to the server\n")))).to eq(:dead)
    end

    it "reads the SQLSTATE that the server answered with" do
      expect(described_class.of(answer(:AdminShutdown, "57P01", "FATAL"))).to eq(:dead)
      expect(described_class.of(answer(:IdleSessionTimeout, "57P05", "FATAL"))).to eq(:expired)
      expect(described_class.of(answer(:ReadOnlySqlTransaction, "25006"))).to eq(:demoted)
      expect(described_class.of(answer(:UniqueViolation, "23505", "ERROR", gone))).to be_nil
    end

    it "leaves a connection alone that only forwarded somebody else's death" do
      expect(described_class.of(answer(:ConnectionFailure, "08006"))).to be_nil
      expect(described_class.of(answer(:ProtocolViolation, "08P01"))).to be_nil
    end

    it "does not read the text of an answer whose result was cleared" do
      error = PG::UniqueViolation.new("Key (title)=(#{gone}) already exists.")
      error.define_singleton_method(:result) { raise PG::Error, "result has been cleared" }

      expect(described_class.of(error)).to be_nil
    end

    it "leaves an insert with too many values alone" do
      expect(described_class.of(PG::UnableToSend.new("number of parameters must be between 0 and 65535\n"))).to be_nil
    end
  end

  describe "mysql2 (#{Support::Errors.loadable?("mysql2") ? "real" : "look-alike"})" do
    let!(:error_class) do
      driver_class("Mysql2::Error") do
        attr_reader :error_number, :sql_state

        def initialize(message, _version = nil, number = nil, state = nil)
          super(message)
          @error_number = number
          @sql_state = state
        end
      end
    end
    let!(:lost_class) { driver_class("Mysql2::Error::ConnectionError", error_class) }
    let!(:timeout_class) { driver_class("Mysql2::Error::TimeoutError", error_class) }

    def of(number, text, type = error_class, state = "HY000")
      described_class.of(type.new(text, 80_000, number, state))
    end

    it "reads the number" do
      expect(of(2013, "Lost connection to MySQL server during query", lost_class)).to eq(:dead)
      expect(of(4031, "The client was disconnected by the server because of inactivity.")).to eq(:expired)
      expect(of(1290, "The MySQL server is running with the --super-read-only option")).to eq(:demoted)
      expect(of(1290, "The MySQL server is running with the --secure-file-priv option")).to be_nil
      expect(of(2003, "Can't connect to MySQL server", lost_class)).to eq(:unreachable)
      expect(of(1040, "Too many connections", error_class, "08004")).to eq(:overloaded)
      expect(of(1045, "Access denied for user", lost_class, "28000")).to be_nil
      expect(of(1062, "Duplicate entry 'MySQL client is not connected' for key", error_class, "23000")).to be_nil
    end

    it "reads the text where there is no number" do
      expect(of(nil, "MySQL client is not connected", error_class, nil)).to eq(:dead)
      expect(of(nil, "Timeout waiting for a response from the last query.", timeout_class, nil)).to be_nil
    end
  end

  describe "trilogy (#{Support::Errors.loadable?("trilogy") ? "real" : "look-alike"})" do
    let!(:error_module) { driver_module("Trilogy::Error") }
    let!(:lost_module) { driver_module("Trilogy::ConnectionError", error_module) }
    let!(:protocol_class) do
      driver_class("Trilogy::ProtocolError", StandardError, error_module) do
        attr_reader :error_code

        def initialize(message = nil, code = nil)
          super(message)
          @error_code = code
        end
      end
    end
    let!(:reset_class) { driver_class("Trilogy::SyscallError::ECONNRESET", Errno::ECONNRESET, lost_module) }
    let!(:closed_class) { driver_class("Trilogy::ConnectionClosed", IOError, lost_module) }

    it "reads the code, and never the errno of a system call as one" do
      expect(described_class.of(protocol_class.new("The server is in super-read-only mode", 1836))).to eq(:demoted)
      expect(described_class.of(protocol_class.new("Duplicate entry", 1062))).to be_nil
      expect(described_class.of(reset_class.new("trilogy_query_recv"))).to eq(:dead)
    end

    it "knows its errors by their module, wherever they were raised" do
      expect(described_class.of(closed_class.new("Attempted to use closed connection"))).to eq(:dead)
    end
  end
end
