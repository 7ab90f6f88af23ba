# frozen_string_literal: true

require "spec_helper"

RSpec.describe "ActiveRecord that comes after poolkeeper", :database, :scripts do
  # A lease is out by the time poolkeeper hears of ActiveRecord.
  let(:late) { "#{Support::Scripts::CONNECT}\nadapter = hold\nbackend_of(adapter)\n" }

  def script(source, *before)
    answers(source, "require 'poolkeeper'", Support::Scripts::TERMINATE, *before, database: primary.config(pool: 5))
  end

  it "is picked up by the next call, with the leases that are out, whichever call came first" do
    # Only ActiveRecord itself is loaded late; what it stands on takes long.
    connect = "CONNECT = #{Support::Scripts::CONNECT.dump}"
    said = answers(<<~'RUBY', "require 'poolkeeper'", connect, database: primary.config(pool: 5))
      require "active_support"
      require "active_model"
      require "pg"
      calls = {
        release: -> { Poolkeeper.release },
        verify: -> { Poolkeeper.verify(IOError.new("closed stream")) && nil },
        observe: -> { Poolkeeper.observe },
        configure: -> { Poolkeeper.configure { |config| config.logger = Logger.new($stderr) } && nil },
        listener: -> { Poolkeeper::KarafkaListener.new.on_worker_completed(nil) },
        error: -> { Poolkeeper::KarafkaListener.new.on_error_occurred(nil) }
      }
      found = calls.to_h do |name, call|
        reader, writer = IO.pipe
        fork do
          first = call.call
          eval(CONNECT)
          adapter = hold
          backend_of(adapter)
          writer.write(JSON.generate([first, Poolkeeper.release, !!adapter.in_use?]))
        end
        writer.close
        [name, JSON.parse(reader.read)]
      end
      say(**found)
    RUBY
    expect(said).to eq(release: [0, 1, false], verify: [nil, 1, false], observe: [false, 1, false],
                       configure: [nil, 1, false], listener: [nil, 1, false], error: [nil, 1, false])
  end

  it "is picked up by verify, which drops the dead connection that was out" do
    said = script(<<~RUBY, "Poolkeeper.verify", late)
      terminate
      error = error_of { adapter.execute("UPDATE items SET n = 1") }
      result = Poolkeeper.verify(error)
      say(fault: result.fault, dropped: result.dropped, works: hold.select_value("SELECT 1"))
    RUBY
    expect(said).to eq(fault: "dead", dropped: 1, works: 1)
  end

  it "has its idle connections watched from the moment it is picked up" do
    said = script(<<~RUBY, "Poolkeeper.observe", late)
      pool.release_connection
      Poolkeeper.observe
      terminate
      wait_until { pool.connections.empty? }
      say(connections: pool.connections.size)
    RUBY
    expect(said).to eq(connections: 0)
  end

  it "is not made to load ActiveRecord::Base before the application has configured it" do
    said = script(<<~RUBY, "require 'active_record'")
      observed = Poolkeeper.observe
      calls = [Poolkeeper.release, Poolkeeper.verify(IOError.new("closed stream")), Poolkeeper.stats,
               Poolkeeper.healthy?, Poolkeeper::KarafkaListener.new.on_swarm_manager_before_fork(nil)]
      say(observed: observed, first: calls.values_at(0, 2, 3, 4), waiting: !!ActiveRecord.autoload?(:Base))
    RUBY
    expect(said).to eq(observed: false, first: [0, {}, true, nil], waiting: true)
  end

  it "is observed as soon as Base loads, without another call" do
    said = script(<<~RUBY, "require 'active_record'", "Poolkeeper.observe", Support::Scripts::CONNECT)
      before = Poolkeeper::Observed.observing?
      adapter = hold
      say(observing: before, leases: Poolkeeper.stats.values.sum { |pool| pool[:leases].size },
          released: Poolkeeper.release, in_use: !!adapter.in_use?)
    RUBY
    expect(said).to eq(observing: true, leases: 1, released: 1, in_use: false)
  end

  it "is left alone where it is not to be observed" do
    said = script(<<~RUBY, "Poolkeeper.configure { |config| config.active_record = false }", late)
      say(observed: Poolkeeper.observe, released: Poolkeeper.release, in_use: !!adapter.in_use?, stats: Poolkeeper.stats)
    RUBY
    expect(said).to eq(observed: false, released: 0, in_use: true, stats: {})
  end
end
