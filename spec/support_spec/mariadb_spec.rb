# frozen_string_literal: true

require_relative "../support/mariadb"
require_relative "../support/proc"
require "tempfile"

RSpec.describe Support::Mariadb, :once do
  before(:context) { @cluster = described_class.start(standby: true) }
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

  def connect(node = primary, name = "client", config: node.config)
    client = Mysql2::Client.new(**config, as: :array, connect_attrs: { program_name: name })
    clients << client
    client
  end

  def pid_of(client)
    client.query("SELECT CONNECTION_ID()").first.first
  end

  describe ".start" do
    it "runs under a user other than root, on loopback only" do
      uid = File.read("/proc/#{primary.pid}/status")[/^Uid:\s+(\d+)/, 1].to_i

      expect(uid).not_to eq(0)
      expect(listening).to eq([["127.0.0.1", primary.port]])
      expect(primary.sql("SELECT @@bind_address")).to eq([["127.0.0.1"]])
    end

    # @return [Array] address and port of the server's listening TCP sockets, as the kernel has them
    def listening
      inodes = Support::Proc.fds(primary.pid).values.filter_map { |link| link[/\Asocket:\[(\d+)\]/, 1] }
      %w[tcp tcp6].flat_map { |table| File.readlines("/proc/net/#{table}").drop(1) }
                  .map(&:split).select { |fields| fields[3] == "0A" && inodes.include?(fields[9]) }
                  .map { |fields| address(*fields[1].split(":")) }
    end

    def address(bytes, port)
      [[bytes].pack("H*").bytes.reverse.join("."), port.hex]
    end

    it "says in config and url how to connect over TCP and over the socket" do
      expect(primary.config(pool: 3))
        .to eq(adapter: "mysql2", host: "127.0.0.1", port: primary.port, database: "poolkeeper",
               username: "poolkeeper", password: nil, encoding: "utf8mb4", pool: 3)
      expect(primary.url).to eq("mysql2://poolkeeper@127.0.0.1:#{primary.port}/poolkeeper")

      connect(primary, "by socket", config: primary.socket_config)
      expect(primary.backends(application_name: "by socket").map(&:client_port)).to eq([-1])
    end

    it "takes settings and a password, and closes after the block" do
      password = "s p/é'%"
      primary = described_class.start(password:, max_connections: 17) do |cluster|
        expect(cluster.primary.sql("SELECT @@max_connections")).to eq([["17"]])
        expect { connect(cluster.primary, config: cluster.primary.config(password: nil)) }
          .to raise_error(Mysql2::Error, /Access denied/)
        expect(connect(cluster.primary).query("SELECT 1").to_a).to eq([[1]])
        expect(cluster.primary.url).to include("poolkeeper:s%20p%2F%C3%A9%27%25@")
        cluster.primary
      end

      expect(primary).not_to be_running
      expect(File).not_to exist(primary.socket)
    end

    it "lets the application do anything in its database, and nothing to the server" do
      client = connect
      client.query("CREATE TABLE own (text varchar(9))")
      client.query("INSERT INTO own VALUES ('é😀')")
      expect(primary.sql("SELECT text FROM own")).to eq([["é😀"]])
      client.query("DROP TABLE own")

      ["SET GLOBAL read_only = OFF", "SELECT * FROM mysql.global_priv", "CREATE DATABASE another"].each do |statement|
        expect { client.query(statement) }.to raise_error(Mysql2::Error, /denied/)
      end
    end
  end

  describe "the observer" do
    it "answers with rows of strings and leaves the application its tables" do
      primary.sql("CREATE TABLE observed (number int); INSERT INTO observed VALUES (1), (NULL)")

      expect(primary.sql("SELECT * FROM observed")).to eq([["1"], [nil]])
      connect.query("DROP TABLE observed")
    end

    it "executes a file" do
      Tempfile.create("statements") do |file|
        file.write("SELECT 1;\nSELECT 'é';\n")
        file.close

        expect(primary.execute_file(file.path)).to eq([["é"]])
      end
    end

    it "tells which of several statements failed" do
      expect { primary.sql("SELECT 1; SELECT nothing") }.to raise_error(Mysql2::Error, /nothing/)
    end

    it "sees the connections of clients, not itself, and finds them by their columns" do
      client = connect
      client.query("BEGIN")
      connect(primary, "other")

      expect(primary.backends.map(&:application_name)).to eq(%w[client other])
      found = primary.backends(application_name: /^cli/, pid: [0, pid_of(client)], state: "idle in transaction")
      expect(found.size).to eq(1)
      expect(found.first).to have_attributes(query: "SELECT CONNECTION_ID()", xact_start: /\A\d{4}-/,
                                             client_port: 1..65_535)
      expect(primary.backends(xact_start: nil).map(&:application_name)).to eq(["other"])
    end

    it "tells at once who is in a transaction, who was, and who is busy" do
      client = connect
      pid = pid_of(client)
      primary.sql("CREATE OR REPLACE TABLE told (number int)")
      states = ["BEGIN", "SELECT 1", "COMMIT", "SELECT 1", "SET autocommit = 0", "SELECT * FROM told",
                "ROLLBACK"].map do |statement|
        client.query(statement)
        primary.backends.map(&:state)
      end
      in_transaction = ["idle in transaction"]
      expect(states).to eq([in_transaction, in_transaction, ["idle"], ["idle"], ["idle"], in_transaction, ["idle"]])

      client.query("SELECT SLEEP(10)", async: true)
      Support.wait_until { primary.backends(state: "active", query: "SELECT SLEEP(10)").any? }
      # The server would not notice that the client leaves.
      expect(primary.terminate(pid)).to eq(1)
    end

    it "terminates those that are asked for, or all" do
      first, second, third = Array.new(3) { connect }
      pids = [first, third].map { |client| pid_of(client) }

      expect(primary.terminate(pids.first)).to eq(1)
      expect { first.query("SELECT 1") }.to raise_error(Mysql2::Error::ConnectionError, /Lost connection|gone away/)
      expect(second.query("SELECT 1").to_a).to eq([[1]])

      expect(primary.terminate(:all)).to eq(2)
      expect(primary.terminate(pids.last(1))).to eq(0)
      expect(primary.backends).to be_empty
    end

    it "terminates one that is busy, whose locks are free then" do
      primary.sql("CREATE OR REPLACE TABLE locked (number int PRIMARY KEY); INSERT INTO locked VALUES (1)")
      busy = connect
      busy.query("BEGIN")
      busy.query("DELETE FROM locked")
      busy.query("SELECT SLEEP(30)", async: true)
      Support.wait_until { primary.backends(state: "active").any? }

      expect(primary.terminate(:all)).to eq(1)
      expect { busy.async_result }.to raise_error(Mysql2::Error::ConnectionError)
      expect(primary.sql("SELECT * FROM locked FOR UPDATE NOWAIT")).to eq([["1"]])
    end

    it "makes open sessions read-only and writable again, itself excepted" do
      client = connect
      primary.sql("CREATE TABLE writes (number int)")
      client.query("BEGIN")
      client.query("INSERT INTO writes VALUES (0)")

      primary.read_only!(true)
      ["COMMIT", "INSERT INTO writes VALUES (1)"].each do |statement|
        expect { client.query(statement) }.to raise_error(Mysql2::Error) { |e| expect(e.error_number).to eq(1290) }
      end
      primary.sql("INSERT INTO writes VALUES (2)")
      primary.restart
      expect { connect.query("INSERT INTO writes VALUES (3)") }.to raise_error(Mysql2::Error, /read-only/)

      primary.read_only!(false)
      connect.query("INSERT INTO writes VALUES (4)")
      expect(primary.sql("SELECT number FROM writes ORDER BY 1")).to eq([["2"], ["4"]])
    end

    it "gets in when the application has taken all connections" do
      described_class.start(max_connections: 10) do |cluster|
        node = cluster.primary
        expect { loop { connect(node) } }.to raise_error(Mysql2::Error, /Too many connections/)
        expect(node.backends.size).to eq(10)
      end
    end
  end

  describe "the log" do
    it "shows what happened during the block without the observer's and the standby's doings" do
      connect
      primary.restart
      connect
      text = primary.log_since do
        client = connect(primary, "logged")
        client.query("SELECT 'während',\n2 AS second_line")
        primary.sql("SELECT 'observing'")
        primary.backends
        client.close
        Support.wait_until { primary.backends(application_name: "logged").empty? }
      end

      expect(text.scan(/\d+ Connect\t(\S+) on (\S+)/)).to eq([%w[poolkeeper@127.0.0.1 poolkeeper]])
      expect(text).to include("Query\tSELECT 'während',\n2 AS second_line\n")
      expect(text).not_to match(/observ|information_schema|replicat|binlog/i)
      expect(text.scan(/Query|Quit/)).to eq(%w[Query Quit])
      expect(primary.log).to end_with(text)
    end

    it "shows nothing of before the block, whatever bytes were in it" do
      connect.query("SELECT '#{"\xFF".b * 100}', 'before'".b)
      text = primary.log_since { connect.query("SELECT 'after'") }
      expect(text).to include("'after'")
      expect(text).not_to include("'before'")
    end

    it "leaves out an observer who was there before, and knows that a restart numbers anew" do
      primary.restart
      text = primary.observe do |observer|
        primary.log_since { observer.query("SELECT 'observing'") }
      end
      expect(text).to eq("")

      # Observers before the restart had the numbers that clients have after it.
      last = Array.new(5) { primary.sql("SELECT CONNECTION_ID()").dig(0, 0).to_i }.last
      primary.restart
      text = primary.log_since { (last + 1).times { connect.query("SELECT 'logged'") } }
      expect(text.scan("SELECT 'logged'").size).to eq(last + 1)
      expect(primary.log_since { primary.restart }).to match(/started with:$/)
    end

    it "shows what the server says of itself" do
      expect { primary.restart }.to change { primary.error_log.scan("ready for connections").size }.by(1)
    end
  end

  describe "the standby" do
    it "has replayed what the primary has written, and writes nothing" do
      primary.sql("CREATE TABLE replayed AS SELECT seq AS number FROM seq_1_to_1000")
      cluster.wait_for_replay

      expect(connect(standby).query("SELECT count(*) FROM replayed").to_a).to eq([[1000]])
      expect { connect(standby).query("DELETE FROM replayed") }.to raise_error(Mysql2::Error, /read-only/)
    end

    %i[fast immediate].each do |mode|
      it "goes on after a restart (#{mode}) of the primary, and after its own" do
        primary.sql("CREATE OR REPLACE TABLE streamed (number int)")
        [primary, standby].each do |node|
          node.restart(mode:)
          primary.sql("INSERT INTO streamed VALUES (1)")
          cluster.wait_for_replay
        end
        expect(standby.sql("SELECT count(*) FROM streamed")).to eq([["2"]])
      end
    end

    it "says what keeps it from replaying" do
      standby.sql("STOP SLAVE")
      primary.sql("CREATE OR REPLACE TABLE waiting (number int)")
      expect { cluster.wait_for_replay(timeout: 0.2) }
        .to raise_error(Support::DeadlineError, /replayed 0-1-\d+; .*"Slave_SQL_Running"\s*=>\s*"No"/)
    ensure
      standby.sql("START SLAVE")
      cluster.wait_for_replay
    end

    it "takes writes once promoted, after a restart too" do
      described_class.start(standby: true) do |other|
        other.standby.promote
        connect(other.standby).query("CREATE TABLE promoted (number int)")
        other.standby.restart
        connect(other.standby).query("INSERT INTO promoted VALUES (1)")
      end
    end
  end

  describe "a fault" do
    %i[fast immediate].each do |mode|
      it "restarts (#{mode}) on the same port, cuts clients off and keeps what was committed" do
        port = primary.port
        client = connect
        client.query("CREATE OR REPLACE TABLE kept (number int)")
        client.query("INSERT INTO kept VALUES (#{port})")

        expect(primary.restart(mode:)).to be_between(0.001, 30)
        expect(primary.port).to eq(port)
        expect { client.query("SELECT 1") }.to raise_error(Mysql2::Error::ConnectionError)
        expect(connect.query("SELECT * FROM kept").to_a).to eq([[port]])
      end
    end

    it "refuses connections while stopped" do
      primary.stop
      expect(primary.pid).to be_nil
      expect { connect }.to raise_error(Mysql2::Error::ConnectionError, /Can't connect/)
    end

    it "recovers from its death, with an idle and a busy connection" do
      idle, busy = Array.new(2) { connect }
      busy.query("SELECT SLEEP(30)", async: true)
      Support.wait_until { primary.backends(state: "active").any? }
      pid = primary.pid
      primary.kill

      expect(Support::Servers::Processes.status(pid)&.running?).to be_falsy
      expect { idle.query("SELECT 1") }.to raise_error(Mysql2::Error::ConnectionError)
      expect { connect }.to raise_error(Mysql2::Error::ConnectionError)
      expect(connect(primary.start).query("SELECT 1").to_a).to eq([[1]])
    end

    it "falls silent without closing a socket, and speaks again" do
      client = connect
      primary.freeze
      client.query("SELECT 42", async: true)
      # A sleep that proves silence, not one that hopes for something.
      expect(IO.for_fd(client.socket, autoclose: false).wait_readable(0.3)).to be_nil
      expect(Support::Proc.sockets_to(primary.port)).to eq(1)

      primary.thaw
      expect(client.async_result.to_a).to eq([[42]])
    end

    it "freezes as a whole where one connection is to be frozen, and only for one of its own" do
      frozen, other = Array.new(2) { connect }
      foreign = pid_of(connect(standby)) + 1_000_000
      expect { primary.freeze_backend(foreign) }.to raise_error(described_class::Error, /no backend of primary/)

      primary.freeze_backend(pid_of(frozen))
      other.query("SELECT 2", async: true)
      expect(IO.for_fd(other.socket, autoclose: false).wait_readable(0.3)).to be_nil

      primary.thaw_backend(0)
      expect(other.async_result.to_a).to eq([[2]])
    end

    it "stops and restarts while frozen" do
      primary.freeze
      primary.restart
      expect(connect.query("SELECT 1").to_a).to eq([[1]])
    end
  end
end
