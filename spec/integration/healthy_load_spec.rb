# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Under healthy load", :database do
  let(:item) { Support::Models::Item }

  def job(number)
    case number % 6
    when 0 then item.create!(n: number)
    when 1 then item.insert_all([{ n: number }, { n: number }])
    when 2 then item.transaction { item.create!(n: number) && Poolkeeper.release }
    when 3 then nested(number)
    when 4 then hold(role: :reading).select_value("SELECT 1")
    else raise ActiveRecord::RecordNotUnique, "the application's own"
    end
  rescue ActiveRecord::RecordNotUnique => e
    Poolkeeper.verify(e)
  ensure
    Poolkeeper.release
  end

  def nested(number)
    item.transaction do
      hold.execute("SELECT 1")
      item.transaction(requires_new: true) { item.create!(n: number) }
    end
  end

  def touched
    Poolkeeper.stats.values.sum { |pool| pool.values_at(:discarded, :evicted, :dropped, :leaked, :mirror_misses).sum }
  end

  it "nothing is discarded, evicted or dropped: the server's processes stay the same, and every row is there" do
    warm_up
    pids = primary.backends.map(&:pid)
    Array.new(5) { |worker| Thread.new { 200.times { |number| job((number * 5) + worker) } } }.each(&:join)

    expect(primary.backends.map(&:pid)).to match_array(pids)
    expect(touched).to eq(0)
    expect(pools.sum { |pool| pool.stat[:busy] }).to eq(0)
    expect(rows).to eq((0...1_000).sum { |number| [1, 2, 1, 1, 0, 0][number % 6] })
  end

  it "what is remembered does not grow with connections and owners that come and go" do
    before = Poolkeeper::Core._sizes.first(2)
    150.times do
      on_thread do
        hold.select_value("SELECT 1")
        Poolkeeper.release
      end
      writing_pool.disconnect!
    end
    Poolkeeper::Observed::Walk.tidy
    connections, owners = Poolkeeper::Core._sizes
    expect(connections).to be <= before.first + 1
    expect(owners).to be <= 1_025
    expect(Support::Proc.sockets_to(primary.port)).to eq(0)
  end
end
