# frozen_string_literal: true

require "spec_helper"
require_relative "../support/trip"

# Where the background runs a statement of a native pool, nobody but its owner would ever know that it panicked.
RSpec.describe "A panic in the middle of a statement", :once, :scripts do
  before(:context) { @prelude = Support::Trip.prelude }

  it "is told to its owner, costs that connection, and gives the slot back" do
    said = answers(<<~RUBY, @prelude, "require 'poolkeeper'", timeout: 40)
      Poolkeeper.config.logger = nil
      pool = Poolkeeper::Pool.new("sqlite::memory:", size: 1)
      pool.with(&:ping)
      trip("statement")
      error = error_of { pool.with { |db| db.query("SELECT 1 AS one") } }
      after = pool.with { |db| db.query("SELECT 1 AS one") }
      stats = pool.stats.slice(:leased, :away, :opening, :waiting)
      pool.close
      say(error: [error.class.name, error.message], tripped: tripped("statement"), after: after, stats: stats)
    RUBY
    expect(said[:error]).to match(["Poolkeeper::ConnectionError",
                                   /a bug of poolkeeper's; please report what standard error/])
    expect(said).to include(tripped: 1, after: [{ one: 1 }], stats: { leased: 0, away: 0, opening: 0, waiting: 0 })
  end
end
