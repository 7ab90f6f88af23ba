# frozen_string_literal: true

module Poolkeeper
  # The native pools of this process.
  #
  # @api private
  module Pools
    # Seconds within which SQLite has closed a file, with all of its log written back.
    FILES = 2
    private_constant :FILES

    @named = {}
    # Replaced, never changed in place: somebody may be walking through it.
    @all = [].freeze
    # Those that keep the stacks of their borrowers.
    @stacks = [].freeze
    @mutex = Mutex.new

    class << self
      # @return [Integer] a number that no pool has, native or observed: of an object made for it
      def number
        Object.new.object_id
      end

      def add(pool)
        @mutex.synchronize { self.all = [*@all, pool] }
      end

      # It is closed for good.
      def remove(pool)
        @mutex.synchronize { self.all = @all.reject { |other| other.equal?(pool) } }
        Mirror._forget_pool(pool.number)
      end

      # @return [Array<Pool>] those that are not closed
      attr_reader :all

      # Makes a pool that {Poolkeeper.[]} knows.
      def define(name, url, **options)
        @mutex.synchronize do
          there = @named[name.to_sym]
          raise ConfigurationError, "there is a pool :#{name} already; close it first" if there && !there.closed?
        end
        pool = Pool.new(url, name: name, **options)
        @mutex.synchronize { @named[name.to_sym] = pool }
      end

      # @raise [ConfigurationError] for a name that no pool has
      def fetch(name)
        @named.fetch(name.to_sym) do
          known = @named.empty? ? "there are none" : "the pools are #{@named.keys.map(&:inspect).join(", ")}"
          raise ConfigurationError, "there is no pool #{name.inspect}; #{known}; in Poolkeeper.configure config.pool " \
                                    "makes one"
        end
      end

      # Closes all of them at once, so that none waits for another's timeout.
      #
      # @raise [TimeoutError] that of the first which is still leased then; the others are closed
      def close(timeout)
        deadline = now + timeout
        pools = all
        pools.each(&:_close)
        late = pools.filter_map do |pool|
          pool.close(timeout: [deadline - now, 0].max) && nil
        rescue TimeoutError => e
          e
        end
        raise late.first if late.any?

        true
      end

      # Waits until the files of SQLite are closed that idle connections had open: a child could not open them. Of
      # servers nothing is waited for.
      def await_closed_files
        deadline = now + FILES
        sleep(0.001) until all.all?(&:_parted) || now > deadline
      end

      # @return [Integer] connections given back for the present owner; those that a running block has stay with it
      def release
        return 0 if @all.empty?

        @stacks.empty? ? Pool._release_all(Owner.native) : release_with_stacks(Owner.native)
      end

      # A forked child holds nothing that its parent had.
      def forked
        @stacks.each(&:forget_stacks)
      end

      # @return [String] a name that no other pool has
      def unique(name)
        taken = all.map(&:name)
        taken.include?(name) ? "#{name} #{(2..).find { |count| !taken.include?("#{name} #{count}") }}" : name
      end

      # @return [Pool, nil]
      def numbered(number)
        all.find { |pool| pool.number == number } if number
      end

      # Pools without a size of their own follow the number of workers.
      def follow_workers(count)
        all.each { |pool| pool.resize(count + 1) unless pool.sized }
      end

      private

      def all=(pools)
        @all = pools.freeze
        @stacks = pools.select(&:stacks?).freeze
      end

      # In one piece, or the owner's next lease would be told with the stack of this one.
      def release_with_stacks(owner)
        Thread.handle_interrupt(Object => :never) do
          Pool._release_all(owner).tap { @stacks.each { |pool| pool.forget_stack(owner) } }
        end
      end

      def now
        ::Process.clock_gettime(::Process::CLOCK_MONOTONIC)
      end
    end
  end
end
