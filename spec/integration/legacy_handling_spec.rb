# frozen_string_literal: true

require "spec_helper"

RSpec.describe "legacy_connection_handling", :database, :scripts do
  # One handler for each role, as ActiveRecord 6.1 has it unless the application switches it off; gone from 7.1 on.
  let(:setup) { <<~RUBY }
    require "active_record"
    base = ActiveRecord::Base
    unless base.respond_to?(:legacy_connection_handling)
      say(legacy: false)
      exit
    end
    base.legacy_connection_handling = true
    base.configurations = { "default_env" => eval(ENV["DATABASE"]) }
    base.connects_to(database: { writing: :primary, reading: :replica })
    class Item < ActiveRecord::Base; end
    def hold(role) = ActiveRecord::Base.connected_to(role: role) { Item.connection }
    def pool(role) = ActiveRecord::Base.connected_to(role: role) { Item.connection_pool }
    def busy = %i[writing reading].map { |role| pool(role).stat[:busy] }
    ROLES = %i[writing reading].freeze
  RUBY

  def script(source)
    configurations = { "primary" => primary.config(pool: 5).transform_keys(&:to_s),
                       "replica" => standby.config(pool: 5, replica: true).transform_keys(&:to_s) }
    answers(source, setup, Support::Scripts::TERMINATE, Support::Scripts::POOLKEEPER, database: configurations)
  end

  def said(**answers)
    legacy? ? { legacy: true, **answers } : { legacy: false }
  end

  def legacy?
    ActiveRecord::Base.respond_to?(:legacy_connection_handling)
  end

  it "does not hide the other role's connections from a release: one handler is not all" do
    expect(script(<<~RUBY)).to eq(said(handlers: 2, before: [1, 1], released: 2, after: [0, 0], again: 0, misses: 0))
      ROLES.each { |role| hold(role).select_value("SELECT 1") }
      before = busy
      released = Poolkeeper.release
      after = busy
      120.times { hold(:reading) && Poolkeeper.release }
      say(legacy: true, handlers: base.connection_handlers.size, before: before, released: released, after: after,
          again: Poolkeeper.release, misses: Poolkeeper.stats.values.sum { |pool| pool[:mirror_misses] })
    RUBY
  end

  it "does not hide leases that were out before observing began, nor the names of their pools" do
    names = ["primary writing default", "replica reading default"]
    database = { "primary" => primary.config, "replica" => standby.config }
    taken = answers(<<~RUBY, setup, "require 'poolkeeper'", database: database)
      ROLES.each { |role| hold(role).select_value("SELECT 1") }
      released = Poolkeeper.release
      say(legacy: true, released: released, after: busy, names: Poolkeeper.stats.keys.sort)
    RUBY
    expect(taken).to eq(said(released: 2, after: [0, 0], names: names))
  end

  it "keeps no dead connection in either role's pool" do
    expect(script(<<~RUBY)).to eq(said(left: [0, 0], works: [1, 1]))
      ROLES.each { |role| hold(role).select_value("SELECT 1") }
      Poolkeeper.release
      ROLES.each { |role| terminate(pool(role).db_config.configuration_hash) }
      wait_until { ROLES.all? { |role| pool(role).connections.empty? } }
      left = ROLES.map { |role| pool(role).connections.size }
      works = ROLES.map { |role| hold(role).select_value("SELECT 1") }
      Poolkeeper.release
      say(legacy: true, left: left, works: works)
    RUBY
  end
end
