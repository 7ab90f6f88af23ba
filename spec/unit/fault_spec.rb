# frozen_string_literal: true

require "spec_helper"
require "active_record"
require "openssl"
require "pg"
require "socket"
require_relative "../support/errors"

# What an error means is tested in Rust, row by row (ext/core/src/fault/tests), the drivers in fault_drivers_spec.rb.
# Here: chains, where an error was raised, and that no error, however odd, makes it raise.
RSpec.describe Poolkeeper::Fault do
  include Support::Errors

  def from(error, *frames)
    error.tap { error.set_backtrace(frames) }
  end

  let(:gone) { "PQconsumeInput() server closed the connection unexpectedly\n" }

  describe "ActiveRecord" do
    it "passes over the wrapper to the driver's error" do
      refused = PG::ConnectionBad.new("connection to server at \"orders-db\", port 5432 failed: Connection refused\n")
      full = PG::ConnectionBad.new("FATAL:  sorry, too many clients already\n")

      {
        raised(ActiveRecord::StatementInvalid.new(gone), cause: PG::ConnectionBad.new(gone)) => :dead,
        raised(ActiveRecord::ConnectionNotEstablished.new, cause: full) => :overloaded,
        raised(ActiveRecord::NoDatabaseError.new("orders"), cause: refused) => :unreachable
      }.each { |error, fault| expect(described_class.of(error)).to eq(fault) }
    end

    it "finds the death that an application's error was raised in the rescue of" do
      lost = raised(ActiveRecord::StatementInvalid.new(gone), cause: PG::ConnectionBad.new(gone))

      expect(described_class.of(raised(ArgumentError.new("cannot go on"), cause: lost))).to eq(:dead)
    end

    it "says nothing of an exhausted pool, a slow query, a missing pool or an ordinary statement's error" do
      [
        ActiveRecord::ConnectionTimeoutError.new("could not obtain a connection from the pool"),
        ActiveRecord::ExclusiveConnectionTimeoutError.new("could not obtain ownership"),
        ActiveRecord::ConnectionNotEstablished.new("No connection pool for 'ActiveRecord::Base' found."),
        ActiveRecord::QueryCanceled.new("canceling statement"), ActiveRecord::AdapterTimeout.new("timeout"),
        ActiveRecord::RecordNotUnique.new(gone), ActiveRecord::StatementInvalid.new(gone),
        ActiveRecord::ReadOnlyError.new("Write query attempted while in readonly mode")
      ].each { |error| expect(described_class.of(error)).to be_nil, error.class.name }
    end

    it "finds the pool that the error happened in", if: defined?(ActiveRecord::AdapterError) do
      pool = Object.new
      failed = ActiveRecord::ConnectionNotEstablished.new("lost", connection_pool: pool)

      expect(described_class.pool_of(raised(ArgumentError.new, cause: failed))).to be(pool)
      expect(described_class.pool_of(ActiveRecord::ConnectionNotEstablished.new("lost"))).to be_nil
    end
  end

  describe ".pool_of" do
    it "takes the first pool that any link of the chain names, and passes over those that fail" do
      pool = Object.new
      named = Class.new(StandardError) { attr_accessor :connection_pool }
      failing = raised(named.new, cause: raised(named.new.tap { |error| error.connection_pool = pool }))
      failing.define_singleton_method(:connection_pool) { raise "no" }

      expect(described_class.pool_of(raised(ArgumentError.new, cause: failing))).to be(pool)
      expect(described_class.pool_of(ArgumentError.new)).to be_nil
    end
  end

  describe "an error that anybody's code may raise" do
    adapters = "/gems/activerecord-7.2.2/lib/active_record/connection_adapters"
    adapter = "#{adapters}/postgresql/database_statements.rb:55:in `exec'"
    transaction = "#{adapters}/abstract/transaction.rb:600:in `within'"
    stdlib = "#{RbConfig::CONFIG["rubylibdir"]}/monitor.rb:214:in `synchronize'"
    application = "/app/consumers/orders_consumer.rb:12:in `consume'"

    [
      "/gems/pg-1.5.9/lib/pg/connection.rb:163:in `wait_readable'",
      "/usr/lib/ruby/vendor_ruby/pg/connection.rb:1:in `x'",
      "/gems/mysql2-0.5.6/lib/mysql2/client.rb:151:in `_query'", "/gems/trilogy-2.9.0/lib/trilogy.rb:18:in `_connect'",
      "/bundler/gems/trilogy-1a2b3c/contrib/ruby/lib/trilogy.rb:18:in `_connect'", adapter
    ].each do |frame|
      it "is one of the connection's where it comes from #{frame[%r{[^/]+/[^/]+\.rb}]}" do
        [IOError.new("closed stream"), EOFError.new, Errno::ECONNRESET.new, OpenSSL::SSL::SSLError.new].each do |error|
          expect(described_class.of(from(error, frame, application))).to eq(:dead)
        end
        expect(described_class.of(from(Errno::ECONNREFUSED.new, frame))).to eq(:unreachable)
        expect(described_class.of(from(ArgumentError.new, frame))).to be_nil
      end
    end

    it "is one of the connection's where only Ruby or an instrumentation stands between" do
      wrapped = ["<internal:io>:63:in `read'", stdlib, "/gems/datadog-2.8.0/lib/datadog/x.rb:40:in `exec'", adapter]

      expect(described_class.of(from(IOError.new, *wrapped))).to eq(:dead)
    end

    it "is none of the connection's where the application raised it inside a transaction" do
      expect(described_class.of(from(Errno::ECONNRESET.new, stdlib, application, transaction, adapter))).to be_nil
      expect(described_class.of(from(IOError.new, "/app/lib/pg/export.rb:3:in `write'", adapter))).to be_nil
      expect(described_class.of(from(IOError.new, "/gems/redis-5.3.0/lib/redis.rb:3:in `get'", adapter))).to be_nil
    end

    it "is none of the connection's where SQLite's adapter, a file or nobody raised it" do
      sqlite = "#{adapters}/sqlite3_adapter.rb:1:in `x'"

      expect(described_class.of(from(IOError.new, sqlite))).to be_nil
      expect(described_class.of(from(Errno::ENOENT.new, adapter))).to be_nil
      expect(described_class.of(IOError.new)).to be_nil
    end
  end

  describe "odd errors" do
    # A look-alike where the gem is not here.
    let(:base) { defined?(PG) ? PG::Error : stub_const("PG::Error", Class.new(StandardError)) }
    let(:bad) { defined?(PG) ? PG::ConnectionBad : stub_const("PG::ConnectionBad", Class.new(base)) }

    it "says nothing of what is no exception" do
      [nil, "text", 42, Object.new, BasicObject.new, StandardError, [], :dead].each do |object|
        expect(described_class.of(object)).to be_nil
        expect(described_class.pool_of(object)).to be_nil
      end
    end

    it "survives every method that fails or returns nonsense" do
      bare = Class.new(Exception) # rubocop:disable Lint/InheritException -- RSpec's own are such
      answers = [-> { raise "no" }, -> { raise bare }, -> { raise NotImplementedError }, -> {}, -> { 42 }, -> { [1] },
                 -> { BasicObject.new }, -> { "\xFF\xFE".b }, -> { "\xE9" * 1_999 }, -> { "x".encode("UTF-16LE") }]
      %i[message backtrace cause result connection_pool class respond_to?].product(answers) do |method, answer|
        [bad.new("connection is closed"), IOError.new, ArgumentError.new].each do |error|
          error.define_singleton_method(method) { |*| answer.call }
          expect { described_class.of(error) && described_class.pool_of(error) }.not_to raise_error
        end
      end
    end

    it "judges by the class where the message cannot be had" do
      error = bad.new
      error.define_singleton_method(:message) { raise "no" }

      expect(described_class.of(error.freeze)).to eq(:dead)
    end

    it "ends where the causes go round, and where there is no end to them" do
      first = ArgumentError.new
      second = ArgumentError.new
      first.define_singleton_method(:cause) { second }
      second.define_singleton_method(:cause) { first }
      endless = Class.new(StandardError) { def cause = self.class.new }

      expect(described_class.of(first)).to be_nil
      expect(described_class.of(endless.new)).to be_nil
    end

    it "finds the cause that Ruby noted where the error's own method fails" do
      error = raised(ArgumentError.new, cause: bad.new("connection is closed"))
      error.define_singleton_method(:cause) { raise "no" }

      expect(described_class.of(error)).to eq(:dead)
    end

    it "knows a class without a name, or with a false one, by its ancestors" do
      nameless = [Class.new(bad), Class.new(bad) { def self.name = raise("no") }]

      expect(nameless.map { |type| described_class.of(type.new("connection is closed")) }).to eq(%i[dead dead])
      expect(described_class.of(Class.new(StandardError) { def self.name = "PG::ConnectionBad" }.new)).to be_nil
    end

    it "looks no deeper than its limit" do
      chain = (0...described_class::DEPTH).reduce(bad.new("connection is closed")) do |cause, _|
        raised(ArgumentError.new, cause:)
      end

      expect(described_class.of(chain)).to be_nil
      expect(described_class.of(chain.cause)).to eq(:dead)
    end

    it "remembers a bounded number of classes" do
      (described_class::REMEMBERED * 2).times { described_class.of(Class.new(StandardError).new) }

      expect(described_class.instance_variable_get(:@interests).size).to be <= described_class::REMEMBERED
    end

    it "takes anything at the boundary" do
      rows = [nil, [], [nil, 1, "x", 2, 3, 4], [[1, nil, :x], "57P01", 2**80, nil, nil, "FATAL"]]
      [nil, 1, "x", *rows.map { |row| [row] }].each do |chain|
        expect { described_class._classify(chain) }.not_to raise_error
        expect { described_class._interest(chain) }.not_to raise_error
      end
      expect(described_class._classify([[[], "57P01", nil, "", false, "FATAL"]])).to eq(:dead)
    end
  end
end
