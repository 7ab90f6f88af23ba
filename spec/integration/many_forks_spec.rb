# frozen_string_literal: true

require "spec_helper"
require_relative "../support/resources"

RSpec.describe "Forks without end", :database, :forks do
  def work
    [hold.select_value("SELECT 1"), Poolkeeper.release]
  end

  def size_of_process
    Support::Resources.collect
    { descriptors: Support::Proc.fds.values.map { |target| target[/\A[^\[\d]+/] }.tally,
      threads: Support::Proc.threads.size, rss: Support::Proc.rss }
  end

  it "leave a parent as it was, a hundred children later, and its watch at work" do
    held = hold
    pid = backend_of(held)
    warm_up(3)
    10.times { forked { work } }
    sizes = [size_of_process]
    children = (0...100).each_slice(20).flat_map do |part|
      part.map { forked { work } }.tap { sizes << size_of_process }
    end
    before, after = sizes.values_at(0, -1)

    expect(children.uniq).to eq([[1, 1]])
    # What earlier examples left to the collector, a socket or the thread of a thread that has ended, may go meanwhile.
    expect(after[:descriptors].select { |kind, count| count > before[:descriptors].fetch(kind, 0) }).to eq({})
    expect(after[:threads]).to be <= before[:threads]
    expect(Support::Resources.growth(sizes.map { |size| size[:rss] })).to be < Support::Resources::MEMORY
    wait_until(message: "only the parent's are left") { primary.backends.size == 4 }
    expect(Poolkeeper::Core._sizes.first).to eq(4)

    primary.terminate(primary.backends.map(&:pid) - [pid])
    wait_until(message: "evicted in the parent") { writing_pool.connections == [held] }
    expect(backend_of(held)).to eq(pid)
  end

  # What the child of a child of a child has, from the first to the last; each has worked and watches what is idle.
  def generations(count, first = nil)
    warm_up(2)
    work
    own = settled(first)
    count == 1 ? [own] : [own, *forked { generations(count - 1, first || own) }]
  end

  # A thread that has ended is the kernel's for a moment longer, and a socket the server's: what stays does not go.
  def settled(first)
    own = nil
    wait_until(message: -> { "no more than #{first}, and there are #{own}" }) do
      own = [size_of_process, Support::Proc.sockets_to(primary.port), Support::Proc.watched_inodes.size]
      first.nil? || (own[0][:threads] <= first[0][:threads] && own[1] <= first[1])
    end
    own
  end

  it "leave the child of a child of a child no more than the first had" do
    hold
    sizes, sockets, watched = forked { generations(8) }.transpose

    expect(sockets).to eq([2] * 8)
    expect(watched.uniq.size).to eq(1)
    # A driver that a fork left without a connection is closed when it is collected.
    parted, descriptors = sizes.map { |size| size[:descriptors].partition { |kind, _| kind == "/dev/null" } }.transpose
    # Whichever of them has the lower number.
    expect(descriptors.map(&:to_h).uniq.size).to eq(1), sizes.inspect
    expect(parted.map { |kinds| kinds.to_h.values.sum }.max).to be < 10
    expect(sizes.map { |size| size[:threads] }).to all(be <= sizes.first[:threads])
    expect(sizes.last[:rss] - sizes.first[:rss]).to be < Support::Resources::MEMORY
  end
end
