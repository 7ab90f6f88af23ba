# frozen_string_literal: true

module Soak
  # What jobs do with their connections, all of it as it should be done.
  class Jobs
    include Support::Database

    # Raised by a job of the application's own.
    class Own < StandardError; end

    BATCH = 10
    # As often as they are here, among the others.
    KINDS = %i[read read read write write nested batch with_connection checkout hold_several unique own_error
               load_async listen notify].freeze

    # @return [Integer] rows that were committed
    attr_reader :rows

    def initialize
      @rows = 0
      @lock = Mutex.new
      @item = Support::Models::Item
      @kinds = KINDS.reject { |kind| absent?(kind) }
    end

    # @param number [Integer] of the job: which kind it is
    def call(number)
      send(@kinds[number % @kinds.size])
    end

    # What ends long after everything else.
    def long(seconds)
      hold.select_value(@driver.sleep(seconds))
    end

    private

    def absent?(kind)
      @driver ||= Support::Driver.of(hold)
      return !Support::Async.there? if kind == :load_async

      %i[listen notify].include?(kind) && !@driver.notifies?
    end

    def committed(count)
      @lock.synchronize { @rows += count }
    end

    def read
      hold(role: :reading, shard: %i[default one].sample).select_value("SELECT 1")
    end

    def write
      @item.create!(n: 1)
      committed(1)
    end

    def nested
      @item.transaction do
        @item.create!(n: 1)
        @item.transaction(requires_new: true) do
          @item.create!(n: 2)
          raise ActiveRecord::Rollback if rand < 0.5

          committed(1)
        end
        committed(1)
      end
    end

    def batch
      ActiveRecord::Base.connected_to(role: :writing, shard: :one) do
        @item.insert_all(Array.new(BATCH) { |number| { n: number } })
      end
      committed(BATCH)
    end

    def with_connection
      writing_pool.with_connection do |adapter|
        adapter.select_value(@driver.sleep(0.005))
      end
    end

    # Given back by hand, as it was taken.
    def checkout
      adapter = writing_pool.checkout
      adapter.select_value("SELECT 1")
    ensure
      writing_pool.checkin(adapter) if adapter
    end

    # One of each pool, for a while: the others wait for theirs.
    def hold_several
      %i[writing reading].product(%i[default one]).each do |role, shard|
        hold(role: role, shard: shard).select_value(@driver.sleep(0.002))
      end
    end

    # An error of the database's that is no fault of the connection.
    def unique
      @item.create!(id: 1, n: 1)
    end

    def own_error
      hold.select_value("SELECT 1")
      raise Own, "the application's own"
    end

    def load_async
      Array.new(3) { @item.where(id: 1..5).load_async }.each(&:to_a)
    end

    # Goes back listening: what is sent to it makes an idle connection readable.
    def listen
      adapter = hold
      adapter.execute("LISTEN orders")
      nil while Support::Driver.raw(adapter).notifies
    end

    def notify
      adapter = hold
      adapter.execute("NOTIFY orders")
      nil while Support::Driver.raw(adapter).notifies
    end
  end
end
