# frozen_string_literal: true

require_relative "../support/postgres"
require_relative "../support/proc"
require "tempfile"

RSpec.describe Support::Postgres, :once do
  before(:context) { @cluster = described_class.start(standby: true, log_statement: "all") }
  after(:context) { @cluster&.close }

  after do
    clients.each(&:close)
    primary.start unless primary.running?
    # The server gets to their goodbyes when it does.
    Support.wait_until { cluster.nodes.flat_map(&:backends).empty? }
  end

  let(:cluster) { @cluster }
  let(:primary) { cluster.primary }
  let(:standby) { cluster.standby }
  let(:clients) { [] }

  def connect(node = primary, name = "client", host: node.host)
    client = PG.connect(host:, port: node.port, dbname: "poolkeeper", user: "poolkeeper", application_name: name)
    # The server's last words would mix with RSpec's.
    client.set_notice_processor(&:itself)
    clients << client
    client
  end

  describe ".start" do
    it "runs under a user other than root, on loopback only" do
      uid = File.read("/proc/#{primary.pid}/status")[/^Uid:\s+(\d+)/, 1].to_i

      expect(uid).not_to eq(0)
      expect(primary.sql("SHOW listen_addresses")).to eq([["127.0.0.1"]])
    end

    it "says in config and url how to connect over TCP and over the socket" do
      config = primary.config(pool: 3)
      expect(config).to eq(adapter: "postgresql", host: "127.0.0.1", port: primary.port, database: "poolkeeper",
                           username: "poolkeeper", password: nil, pool: 3)
      expect(PG.connect(primary.url).tap { |client| clients << client }.exec("SELECT 1").values).to eq([["1"]])

      connect(primary, "by socket", host: primary.socket_config[:host])
      expect(primary.backends(application_name: "by socket").map(&:client_port)).to eq([-1])
    end

    it "takes settings and a password, and closes after the block" do
      password = "s p/é'%"
      primary = described_class.start(password:, max_connections: 7) do |cluster|
        expect(cluster.primary.sql("SHOW max_connections")).to eq([["7"]])
        expect { connect(cluster.primary) }.to raise_error(PG::Error, /no password supplied/)
        PG.connect(cluster.primary.url).close
        cluster.primary
      end

      expect(primary).not_to be_running
      expect(File).not_to exist(primary.socket_dir)
    end
  end

  describe "the observer" do
    it "answers with rows of strings and leaves the application its tables" do
      primary.sql("CREATE TABLE observed (number int); INSERT INTO observed VALUES (1), (NULL)")

      expect(primary.sql("SELECT * FROM observed")).to eq([["1"], [nil]])
      connect.exec("ALTER TABLE observed ADD more text; DROP TABLE observed")
    end

    it "executes a file" do
      Tempfile.create("statements") do |file|
        file.write("SELECT 1;\nSELECT 'é';\n")
        file.close

        expect(primary.execute_file(file.path)).to eq([["é"]])
      end
    end

    it "sees the backends of clients, not itself, and finds them by their columns" do
      client = connect
      client.exec("BEGIN")
      connect(primary, "other")

      expect(primary.backends.map(&:application_name)).to eq(%w[client other])
      found = primary.backends(application_name: /^cli/, pid: [0, client.backend_pid], state: "idle in transaction")
      expect(found.size).to eq(1)
      expect(found.first).to have_attributes(query: "BEGIN", xact_start: /\A\d{4}-/, client_port: 1..65_535)
      expect(primary.backends(xact_start: nil).map(&:application_name)).to eq(["other"])
    end

    it "terminates those that are asked for, or all" do
      first, second, third = Array.new(3) { connect }

      expect(primary.terminate(first.backend_pid)).to eq(1)
      expect { first.exec("SELECT 1") }.to raise_error(PG::ConnectionBad)
      expect(second.exec("SELECT 1").ntuples).to eq(1)

      expect(primary.terminate(:all)).to eq(2)
      expect(primary.terminate([third.backend_pid])).to eq(0)
      expect(primary.backends).to be_empty
    end

    it "makes open sessions read-only and writable again, itself excepted" do
      client = connect
      primary.sql("CREATE TABLE writes (number int)")

      primary.read_only!(true)
      expect { client.exec("INSERT INTO writes VALUES (1)") }.to raise_error(PG::ReadOnlySqlTransaction)
      primary.sql("INSERT INTO writes VALUES (2)")

      primary.read_only!(false)
      client.exec("INSERT INTO writes VALUES (3)")
    end
  end

  describe "the log" do
    it "shows what happened during the block without the observer's doings" do
      connect
      text = primary.log_since do
        connect(primary, "logged").exec("SELECT 'während'")
        primary.sql("SELECT 'observing'")
      end

      expect(text).to include("application_name=logged", "SELECT 'während'")
      expect(text).not_to match(/observ/)
      # By name: the standby may come back at any moment after a restart.
      expect(text.scan(/connection authorized: user=poolkeeper/).size).to eq(1)
      expect(primary.log).to include(text)
    end
  end

  describe "the standby" do
    it "has replayed what the primary has written, and writes nothing" do
      primary.sql("CREATE TABLE replayed AS SELECT generate_series(1, 1000) AS number")
      cluster.wait_for_replay

      expect(connect(standby).exec("SELECT count(*) FROM replayed").values).to eq([["1000"]])
      expect { connect(standby).exec("DELETE FROM replayed") }.to raise_error(PG::ReadOnlySqlTransaction)
    end

    it "streams again after a restart of the primary" do
      primary.restart
      primary.sql("SELECT txid_current()")
      cluster.wait_for_replay
    end

    it "takes writes once promoted" do
      described_class.start(standby: true) do |other|
        other.standby.promote
        connect(other.standby).exec("CREATE TABLE promoted (number int)")
      end
    end
  end

  describe "a fault" do
    %i[fast immediate].each do |mode|
      it "restarts (#{mode}) on the same port and cuts clients off" do
        port = primary.port
        client = connect

        expect(primary.restart(mode:)).to be_between(0.001, 30)
        expect(primary.port).to eq(port)
        expect { client.exec("SELECT 1") }.to raise_error(PG::ConnectionBad)
        connect.exec("SELECT 1")
      end
    end

    it "refuses connections while stopped" do
      primary.stop
      expect(primary.pid).to be_nil
      expect { connect }.to raise_error(PG::ConnectionBad, /refused/)
    end

    it "recovers from the death of the postmaster, with an idle, a busy and a frozen backend" do
      idle, busy, frozen = Array.new(3) { connect }
      busy.send_query("SELECT count(*) FROM generate_series(1, 1e10)")
      Support.wait_until { primary.backends(pid: busy.backend_pid, state: "active").any? }
      primary.freeze_backend(frozen.backend_pid)
      pids = [primary.pid, idle.backend_pid, busy.backend_pid, frozen.backend_pid]
      primary.kill

      expect(pids.filter_map { |pid| Support::Servers::Processes.status(pid) }.select(&:running?)).to be_empty
      expect { connect }.to raise_error(PG::ConnectionBad, /refused/)
      expect(connect(primary.start).exec("SELECT 1").values).to eq([["1"]])
    end

    it "falls silent without closing a socket, and speaks again" do
      client = connect
      primary.freeze
      client.send_query("SELECT 42")
      # A sleep that proves silence, not one that hopes for something.
      expect(client.socket_io.wait_readable(0.3)).to be_nil
      expect(Support::Proc.sockets_to(primary.port)).to eq(1)

      primary.thaw
      expect(client.get_last_result.values).to eq([["42"]])
    end

    it "freezes one backend only, and terminates it once it thaws" do
      frozen, lively = Array.new(2) { connect }
      primary.freeze_backend(frozen.backend_pid)
      frozen.send_query("SELECT 1")
      expect(frozen.socket_io.wait_readable(0.3)).to be_nil
      expect(lively.exec("SELECT 2").values).to eq([["2"]])

      expect(primary.terminate(frozen.backend_pid)).to eq(1)
      primary.thaw_backend(frozen.backend_pid)
      expect { frozen.get_last_result }.to raise_error(PG::Error)
    end

    it "never signals a process that is no backend of the server" do
      expect { primary.freeze_backend(Process.pid) }.to raise_error(described_class::Error, /no backend of primary/)
      expect { primary.thaw_backend(standby.pid) }.to raise_error(described_class::Error, /no backend of primary/)
    end

    it "stops and restarts while frozen" do
      primary.freeze
      primary.restart
      expect(connect.exec("SELECT 1").ntuples).to eq(1)
    end
  end
end
