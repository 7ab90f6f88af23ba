# frozen_string_literal: true

module Support
  # Native pools of an example's own, on a server that the whole run shares, and what is seen of them from outside.
  module NativePools
    NAME = "a spec"

    class << self
      # @return [Servers::Cluster] without a standby; for examples that may stop it
      def cluster
        @cluster ||= Postgres.start(max_connections: 60)
      end

      def started?
        !@cluster.nil?
      end

      def close
        @cluster&.close
      end
    end

    def server
      NativePools.cluster.primary
    end

    # @return [Poolkeeper::Pool] closed at the end of the example
    def pool(url = server.url, size: 3, **options)
      Poolkeeper::Pool.new(url, size: size, application_name: NAME, **options).tap { |pool| (@pools ||= []) << pool }
    end

    # @return [Array<Postgres::Observer::Backend>] the sessions of native pools, as the server has them
    def sessions(**where)
      server.backends(application_name: NAME, **where)
    end

    def await_sessions(count, **where)
      wait_until(message: -> { "#{count} sessions, there are #{sessions.inspect}" }) { sessions(**where).size == count }
    end

    # When this returns, the pools' sockets say so too.
    def stop(node = server)
      node.stop
      wait_until(message: "the ends of all connections have arrived") { Support::Proc.open_to(node.port).zero? }
    end

    # The number of the server's process.
    def pid(database)
      database.query("SELECT pg_backend_pid() AS pid").first[:pid]
    end

    # So many idle connections.
    def warm(pool, count)
      gate = Queue.new
      threads = Array.new(count) do
        Thread.new do
          pool.with do |db|
            pid(db).tap { gate.pop }
          end
        end
      end
      wait_until { gate.num_waiting == count }
      count.times { gate << true }
      threads.map(&:value)
    end

    # Holds a connection on a thread of its own until the block ends.
    def holding(pool, name: "holder")
      taken = Queue.new
      done = Queue.new
      thread = Thread.new do
        pool.with do |db|
          taken << db
          done.pop
        end
      end
      thread.name = name
      yield taken.pop
    ensure
      done << true
      thread.join
    end

    def error_of
      yield
      nil
    rescue Exception => e # rubocop:disable Lint/RescueException -- an interrupt, as it may be
      e
    end

    # @return [Array] the block's value, and how many seconds it took
    def timed
      started = Support.now
      [yield, Support.now - started]
    end

    def close_pools
      @pools&.each do |pool|
        pool.release
        pool.close(timeout: 5) unless pool.closed?
      end
      # Of those, too, that an example has opened by itself or in a script.
      await_sessions(0) if NativePools.started?
    end
  end
end
