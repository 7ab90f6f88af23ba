# frozen_string_literal: true

require "spec_helper"

RSpec.describe "A fork with native pools", :native, :once, :forks, :scripts, only: :postgresql do
  def sockets(pid = "self")
    Support::Proc.inodes_to(server.port, pid)
  end

  it "leaves parent and child both working, with no socket shared, and the parent unharmed" do
    pool = pool()
    warm(pool, 3)
    held = pool.lease
    before = pid(held)
    mine = sockets
    work = -> { Array.new(2) { pool.with { |db| pid(db) } } }
    staying(work) do |child|
      expect(child.value.uniq.size).to eq(1)
      expect(sessions.map(&:pid)).to include(before, child.value.first)
      expect(sockets(child.pid) & mine).to eq([])
      expect(sockets(child.pid).size).to eq(1)
      expect(pid(held)).to eq(before)
      expect(warm(pool, 2).size).to eq(2)
    end
    await_sessions(3)
    expect(pid(held)).to eq(before)
  end

  it "takes nothing with it that was leased: that is told, and releasing it does nothing" do
    pool = pool()
    db = pool.lease
    before = pid(db)
    said = forked do
      error = error_of { db.query("SELECT 1") }
      [error.class.name, error.message[/taken before a fork/], pool.release, Poolkeeper.release, pool.stats[:leased]]
    end
    expect(said).to eq(["Poolkeeper::NotHeldError", "taken before a fork", false, 0, 0])
    expect(pid(db)).to eq(before)
  end

  it "ends in the middle of a block without a word to the parent's server" do
    pool = pool()
    pool.with do |db|
      before = pid(db)
      expect(forked { pool.with { |own| pid(own) } }).not_to eq(before)
      expect(pid(db)).to eq(before)
    end
  end

  it "lets the server see the parent's end, though a child lives on" do
    said = answers(<<~RUBY, "require 'poolkeeper'")
      pool = Poolkeeper::Pool.new(#{server.url.dump}, size: 2, application_name: "a spec")
      reader, writer = IO.pipe
      parent = fork do
        pool.with { |db| db.query("SELECT 1") }
        child = fork do
          [$stdout, $stderr].each { |stream| stream.reopen(File::NULL) }
          sleep(60)
        end
        writer.puts(child)
        exit!(0)
      end
      Process.wait(parent)
      say(child: reader.gets.to_i)
    RUBY
    expect(Process.kill(0, said[:child])).to eq(1)
    await_sessions(0)
  ensure
    Process.kill("KILL", said[:child]) if said
  end

  it "closes idle connections of a supervisor before it forks" do
    pool = pool()
    warm(pool, 2)
    Poolkeeper::KarafkaListener.new.on_swarm_manager_before_fork(nil)
    await_sessions(0)
    expect(pool.with { |db| pid(db) }).to be_positive
  end

  it "grows nothing, a hundred forks later" do
    pool = pool()
    warm(pool, 2)
    round = proc { forked { pool.with { |db| db.query("SELECT 1") } && 1 } }
    10.times(&round)
    before = [Support::Proc.fds.size, Support::Proc.threads.size]
    expect(Array.new(100, &round).sum).to eq(100)
    after = [Support::Proc.fds.size, Support::Proc.threads.size]
    expect(after.zip(before)).to all(satisfy { |now, then_| now <= then_ })
    await_sessions(2)
  end

  it "leaves nothing open where children fork children" do
    pool = pool()
    warm(pool, 2)
    open = lambda do |depth|
      pool.with { |db| db.query("SELECT 1") }
      here = Support::Proc.fds.size
      depth.zero? ? [here] : [here, *forked { open.call(depth - 1) }]
    end
    sizes = open.call(5)
    # Each has as many as its parent and the pipe through which it answers.
    expect(sizes.each_cons(2).map { |one, next_| next_ - one }.drop(1)).to all(be <= 1)
  end
end
