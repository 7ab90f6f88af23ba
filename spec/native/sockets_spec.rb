# frozen_string_literal: true

require "spec_helper"
require_relative "../support/certificates"
require_relative "../support/trip"

# However a native pool reaches its server, it knows the sockets.
RSpec.describe "A native pool's sockets" do
  # What the server has closed is gone, with nobody asking: only the watch can have said so.
  def expect_watched(pool, server)
    Array.new(3) { Thread.new { pool.with(&:ping) } }.each(&:join)
    wait_until { pool.stats[:opening].zero? }
    idle = pool.stats[:idle]
    expect(idle).to be_positive
    server.terminate(:all)
    expect_evicted(pool, idle)
  end

  # They leave the pool before they are counted.
  def expect_evicted(pool, count)
    evicted = -> { Poolkeeper.stats[pool.name][:evicted] }
    wait_until(message: -> { pool.stats.to_s }) { pool.stats[:idle].zero? && evicted.call >= count }
    expect(evicted.call).to eq(count)
  end

  def opened(url)
    pool = Poolkeeper::Pool.new(url, name: "sockets", size: 3)
    yield pool
  ensure
    pool.close
  end

  context "on PostgreSQL", :native, :once, :scripts, only: :postgresql do
    # It may have to be built.
    before(:context) { Support::Trip.prelude }

    it "are watched over a Unix socket" do
      folder = URI.encode_www_form_component(server.socket_dir)
      opened("postgres:///poolkeeper?host=#{folder}&port=#{server.port}&user=poolkeeper") do |pool|
        expect(pool.with { |db| db.query("SELECT inet_server_port() AS port") }).to eq([{ port: nil }])
        expect_watched(pool, server)
      end
    end

    it "that cannot be found are asked for a sign of life before the first statement of each lease" do
      said = answers(<<~RUBY, Support::Trip.prelude, "require 'poolkeeper'", timeout: 40)
        Poolkeeper.config.logger = nil
        Poolkeeper::Trip._off("descriptor")
        url = #{server.url.dump}
        pool = Poolkeeper::Pool.new(url, name: "unseen", size: 1)
        before = pool.with { |db| db.query("SELECT pg_backend_pid() AS pid") }.first[:pid]
        Poolkeeper::Pool.new(url).with { |db| db.query("SELECT pg_terminate_backend($1, 5000)", before) }
        idle = pool.stats[:idle]
        after = pool.with { |db| db.query("SELECT pg_backend_pid() AS pid") }.first[:pid]
        say(idle: idle, replaced: after != before, counted: Poolkeeper.stats["unseen"].slice(:evicted, :dropped))
      RUBY
      expect(said).to eq(idle: 1, replaced: true, counted: { evicted: 0, dropped: 1 })
    end

    it "are watched over TLS, and another authority's certificate is refused by name" do
      Support::Certificates.issue do |certificates|
        Support::Postgres.start do |cluster|
          node = cluster.primary.take_tls(certificates)
          verified = "#{node.url}?sslmode=verify-full&sslrootcert="
          opened("#{verified}#{certificates.authority}") do |pool|
            sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            expect(pool.with { |db| db.query(sql) }).to eq([{ ssl: true }])
            expect_watched(pool, node)
          end
          Support::Certificates.issue do |others|
            opened("#{verified}#{others.authority}") do |pool|
              expect { pool.lease }.to raise_error(Poolkeeper::ConnectionError, /certificate.*sslmode/m)
              wait_until { pool.stats[:opening].zero? }
              expect(pool.stats).to include(idle: 0, leased: 0)
            end
          end
        end
      end
    end
  end

  context "on MariaDB", :database, :once, only: :mariadb do
    it "are watched over a Unix socket" do
      opened("mysql://poolkeeper@localhost/poolkeeper?socket=#{primary.socket}") do |pool|
        expect(pool.with { |db| db.query("SELECT SUBSTRING_INDEX(USER(), '@', -1) AS host") })
          .to eq([{ host: "localhost" }])
        expect_watched(pool, primary)
      end
    end

    it "are watched over TLS, and another authority's certificate is refused by name" do
      Support::Certificates.issue do |certificates|
        settings = { ssl_cert: certificates.certificate, ssl_key: certificates.key, ssl_ca: certificates.authority }
        Support::Mariadb.start(**settings) do |cluster|
          node = cluster.primary
          verified = "#{node.url.sub("mysql2:", "mysql:")}?ssl-mode=VERIFY_IDENTITY&ssl-ca="
          opened("#{verified}#{certificates.authority}") do |pool|
            cipher = pool.with { |db| db.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'") }.first[:Value]
            expect(cipher).to start_with("TLS")
            expect_watched(pool, node)
          end
          Support::Certificates.issue do |others|
            opened("#{verified}#{others.authority}") do |pool|
              expect { pool.lease }.to raise_error(Poolkeeper::ConnectionError, /certificate.*ssl-?mode/m)
            end
          end
        end
      end
    end
  end
end
