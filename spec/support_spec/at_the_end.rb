# frozen_string_literal: true

require_relative "../support/proc"
require "json"
require "rbconfig"

# What is left when a cluster ends: nothing, whoever ends it and how. For each database, which says in `failures` how a
# start can fail: settings, and what the server says of them.
RSpec.shared_examples "servers at their end" do
  # A process of its own that starts a cluster, tells what it started, and then does as the scenario says.
  def owner(scenario)
    script = <<~RUBY
      require #{File.expand_path("../support/#{described_class.name.split("::").last.downcase}", __dir__).dump}
      require "json"
      cluster = #{described_class}.start(standby: true)
      def keeper(cluster)
        Support::Servers::Processes.status(cluster.primary.pid).ppid
      end

      def tell(cluster, **more)
        roots = Support::Servers::Sandbox.live.map(&:root)
        pids = cluster.nodes.flat_map { |n| [n.pid, *Support::Servers::Processes.children(n.pid).map(&:pid)] }
        pids << more.fetch(:keeper) { keeper(cluster) }
        puts JSON.generate({ roots: roots, pids: pids, **more })
        $stdout.flush
      end
      #{scenario}
    RUBY
    IO.popen([RbConfig.ruby, "-e", script], pgroup: true)
  end

  def told(process)
    JSON.parse(process.gets, symbolize_names: true)
  end

  def processes(pids)
    pids.filter_map { |pid| Support::Servers::Processes.status(pid) }.select(&:running?)
  end

  def expect_nothing_left(roots:, pids:, **)
    Support.wait_until(timeout: 15, message: -> { "nothing left of #{pids}: #{processes(pids)}" }) do
      processes(pids).empty? && roots.none? { |root| File.exist?(root) }
    end
  end

  # Closing waits for the owner, which a failed example has left alive.
  def end_owner(process)
    Process.kill(:KILL, process.pid) if process && !process.closed?
  rescue Errno::ESRCH
    nil
  ensure
    process&.close
  end

  def live_roots
    Support::Servers::Sandbox.live.map(&:root)
  end

  it "leaves nothing when the owner is killed, and keeps nothing of the owner's open meanwhile" do
    process = owner("r, w = IO.pipe; w.close_on_exec = false; tell(cluster); sleep")
    state = told(process)
    # A server's helpers come and go; that some of those told of are there shows that these are its numbers.
    expect(processes(state[:pids])).not_to be_empty
    Process.kill(:KILL, process.pid)

    # End of file: nobody inherited the standard output either.
    expect(process.wait_readable(5) && process.read).to eq("")
    expect_nothing_left(**state)
  ensure
    end_owner(process)
  end

  it "leaves nothing when the owner is killed while a server of its is frozen and another one has been killed" do
    process = owner(<<~RUBY)
      cluster.primary.freeze
      tell(cluster)
      # Those that PostgreSQL then leaves behind.
      Support::Servers::Processes.children(cluster.standby.pid).each { |child| child.signal(:STOP) }
      Process.kill(:KILL, cluster.standby.pid)
      puts "done"
      $stdout.flush
      sleep
    RUBY
    state = told(process)
    process.gets
    Process.kill(:KILL, process.pid)
    expect_nothing_left(**state)
  ensure
    end_owner(process)
  end

  it "leaves nothing when the owner is killed but a forked child of it lives on" do
    process = owner("child = fork { sleep }; tell(cluster, child: child); sleep")
    state = told(process)
    Process.kill(:KILL, process.pid)
    expect_nothing_left(**state)
  ensure
    Process.kill(:KILL, state[:child]) if state
    process&.close
  end

  %i[TERM INT].each do |signal|
    it "has removed everything by the time the owner has ended by SIG#{signal}" do
      process = owner("$stderr.reopen(File::NULL); tell(cluster); sleep")
      state = told(process)
      # To the whole group, as Ctrl-C in a terminal does.
      Process.kill(signal, -process.pid)
      process.close

      expect(processes(state[:pids])).to be_empty
      expect(state[:roots].select { |root| File.exist?(root) }).to be_empty
    end
  end

  it "removes everything even when the keeper was killed" do
    process = owner(<<~RUBY)
      keeper = keeper(cluster)
      Process.kill(:KILL, keeper)
      Support.wait_until { !Support::Servers::Processes.status(keeper)&.running? }
      tell(cluster, keeper: keeper)
    RUBY
    state = told(process)
    process.close
    expect(Process.last_status).to be_success
    expect_nothing_left(**state)
  end

  it "leaves the servers alone when a forked child ends, which can observe but not restart" do
    described_class.start do |cluster|
      child = fork do
        cluster.primary.sql("SELECT 1")
        exit!(1) unless cluster.primary.running?
        cluster.primary.stop.start
      rescue described_class::Error => e
        # Through at_exit, which RSpec uses as well.
        at_exit { exit!(e.message.include?("another process") ? 7 : 2) }
        Support::Servers::Sandbox.close_all
        cluster.close
      end
      _, status = Process.wait2(child)

      expect(status.exitstatus).to eq(7)
      cluster.primary.start
      expect(cluster.primary.sql("SELECT 1")).to eq([["1"]])
    end
  end

  it "leaves nothing of a start that failed, and says what the server said" do
    described_class::Template.current
    before = live_roots

    failures.each do |settings, words|
      expect { described_class.start(**settings) }.to raise_error(described_class::Error, words)
    end
    expect(live_roots).to eq(before)
    folders = Dir.glob("#{File.dirname(before.first)}/#{described_class::PRODUCT.prefix}*-#{Process.pid}-*")
    expect(folders - before).to be_empty
  end

  it "leaves nothing of a start whose thread was killed" do
    described_class::Template.current
    before = live_roots
    starter = Thread.new { described_class.start(standby: true) }
    Support.wait_until(interval: 0.001) { (live_roots - before).any? }
    started = live_roots - before
    starter.kill.join

    expect(live_roots).to eq(before)
    expect(started.select { |root| File.exist?(root) }).to be_empty
  end

  it "takes another port when the one it found is taken before it starts" do
    taken = TCPServer.new("127.0.0.1", 0)
    ports = [taken.local_address.ip_port, free = Support::Servers::Port.free]
    allow(Support::Servers::Port).to receive(:free) { ports.shift }

    described_class.start { |cluster| expect(cluster.primary.port).to eq(free) }
  ensure
    taken&.close
  end

  it "waits for its own port when somebody holds it for a moment" do
    described_class.start do |cluster|
      cluster.primary.stop
      taken = TCPServer.new("127.0.0.1", cluster.primary.port)
      releaser = Thread.new do
        Support.wait_until { cluster.primary.error_log.include?("Address already in use") }
        taken.close
      end
      expect(cluster.primary.start).to be_running
      releaser.join
    end
  end

  it "adds neither threads nor children to this process, and one descriptor" do
    described_class::Template.current
    threads = Thread.list
    fds = Support::Proc.fds
    # Others may end meanwhile what they have left.
    added = -> { [Thread.list - threads, Support::Proc.fds.to_a - fds.to_a] }

    described_class.start do |cluster|
      cluster.primary.sql("SELECT 1")
      expect(added.call).to match([[], [anything]])
      expect { Process.wait(-1, Process::WNOHANG) }.to raise_error(Errno::ECHILD)
    end
    expect(added.call).to eq([[], []])
  end
end
