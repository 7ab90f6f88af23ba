# frozen_string_literal: true

require_relative "../spec_helper"
require "timeout"
require_relative "../support/mangler"

# What a server says is spoilt on its way: by a saved corpus, then at random. A pool may fail in words of its own, and
# then works again; no connection of it is left anywhere.
RSpec.describe "A native pool whose server talks rubbish", :database, :once do
  let(:corpus) { File.expand_path("../corpus/wire.txt", __dir__) }
  let(:application) { "wire" }
  let(:door) { Support::Mangler.new(primary.port) }
  let(:url) { primary.url.sub("mysql2:", "mysql:").sub(":#{primary.port}", ":#{door.port}") }
  let(:all_types) do
    { postgresql: "SELECT 1 AS a, 'zwei'::text AS b, now() AS c, 2.5::float8 AS d, NULL AS e, current_date AS f, " \
                  "true AS g WHERE 1 = $1",
      mariadb: "SELECT 1 AS a, 'zwei' AS b, now() AS c, 2.5e0 AS d, NULL AS e, current_date AS f, true AS g " \
               "FROM DUAL WHERE 1 = ?" }.fetch(Support::Dialect.family)
  end

  after { door.close }

  def saved
    File.readlines(corpus, chomp: true).grep_v(/\A#/).map do |line|
      line.split("; ").map { |change| Support::Mangler::Change.parse(change) }
    end
  end

  def spoilt(changes)
    door.spoil(changes)
    pool = Poolkeeper::Pool.new(url, size: 1, application_name: application, connect_timeout: 0.3,
                                     checkout_timeout: 0.5)
    converse(pool)
    door.spoil([])
    expect(recover(pool)).to eq([1])
    pool.release
    expect(pool.stats.slice(:leased, :waiting).values.sum).to eq(0)
  ensure
    pool&.close(timeout: 5)
  end

  # A length that is too great is waited for; whoever waits is interrupted, as by any Timeout.
  def converse(pool)
    Timeout.timeout(0.3) do
      pool.with do |db|
        db.query(all_types, 1)
        db.transaction { db.query(all_types, 1) }
      end
    end
  rescue Poolkeeper::Error, Timeout::Error
    nil
  end

  # Where nobody could connect the pool tries by itself, and says so until it was. By a statement of its own: what was
  # said of the others while they were prepared may be wrong, and is believed. Where rubbish was taken for an answer,
  # what is left of it is met once.
  def recover(pool)
    answer = nil
    left = 1
    wait_until(message: "the pool works again") do
      answer = Timeout.timeout(2) { pool.with { |db| db.query("SELECT 1 AS a").map { |row| row[:a] } } }
    rescue Poolkeeper::HostDownError, Poolkeeper::TimeoutError
      nil
    rescue Poolkeeper::ConnectionError, Timeout::Error
      raise if (left -= 1).negative?
    end
    answer
  end

  it "fails in words of its own, works as soon as it does not, and leaves nothing behind" do
    random = Random.new(RSpec.configuration.seed)
    saved.each { |changes| spoilt(changes) }
    ends = Support.now + 8
    while Support.now < ends
      changes = Array.new(random.rand(1..3)) { Support::Mangler::Change.random(random) }
      begin
        spoilt(changes)
      rescue Exception => e # rubocop:disable Lint/RescueException -- a failed expectation is none of StandardError
        raise e, "#{e.message}\n#{corpus} ought to have: #{changes.join("; ")}"
      end
    end
    wait_until(message: "no session is left") { primary.backends(application_name: application).empty? }
    wait_until(message: "no socket is left") { Support::Proc.sockets_to(door.port).zero? }
  end
end
