# frozen_string_literal: true

require "date"
require "io/wait"

module Poolkeeper
  # A pool of connections that poolkeeper opens itself, to PostgreSQL, MySQL, MariaDB or SQLite.
  #
  # A connection belongs to the present thread, or to the present fiber where a fiber scheduler runs: whoever asks again
  # gets the same one. It is given back at the end of {#with}, by {#release}, or by {Poolkeeper.release}.
  #
  # @example
  #   EVENTS = Poolkeeper::Pool.new(ENV.fetch("EVENTS_URL"), size: 10)
  #   EVENTS.with { |db| db.query("select id from orders where day = $1", Date.today) }
  #
  # | URL | what it is |
  # |---|---|
  # | `postgres://user:password@host:5432/database` | also `?sslmode=`, `host=/run/postgresql` and others |
  # | `postgres://user:password@a:5432,b:5433/database` | several hosts; also `?target_session_attrs=read-write` |
  # | `mysql://user:password@host:3306/database`, `mariadb://...` | also `?ssl-mode=`, `socket=` and others |
  # | `sqlite:path/to.db`, `sqlite:///path/to.db?mode=ro` | a file, made where it is missing; in WAL mode |
  # | `sqlite::memory:` | one database for the whole pool, gone with it; a forked child begins with an empty one |
  #
  # A parameter that is not known is refused with those that are. A file of SQLite that is open at a fork cannot be
  # opened in the child; close the pool before, or open it in the child only.
  #
  # @note A forked child starts with connections of its own. What was leased at the fork is not held there.
  class Pool
    # Where many wait, not each of them looks through all threads for those that are gone. Seconds.
    RECENTLY = 0.05
    private_constant :RECENTLY

    class << self
      # @param url [String] such as `postgres://user:password@host:5432/database`
      # @param name [#to_s] what messages, events and statistics call it
      # @param options [Hash] see {PoolOptions}
      # @return [Pool]
      # @raise [ConfigurationError] for an unknown option, or a value it cannot take
      def new(url, name: :default, **options)
        unless url.is_a?(String)
          raise ConfigurationError, "pool #{name}: a URL is a String, and this is #{Log.describe(url)}"
        end

        checked = PoolOptions.check(Pools.unique(name.to_s), options)
        ForkHook.expect
        Background.ensure_running
        number = Pools.number
        _open(number, url, checked).tap { |pool| pool.send(:prepare, number, url[/\A\w+/], checked) }
      end
    end

    # Called by the core for a number with decimal places.
    #
    # @api private
    def self.decimal(digits)
      require "bigdecimal"
      BigDecimal(digits)
    rescue LoadError
      raise ConfigurationError, "numbers with decimal places are BigDecimal, and from Ruby 3.4 on that is a gem of " \
                                "its own: add bigdecimal to the Gemfile"
    end

    # @return [String]
    attr_reader :name

    # Lends a connection to the block and takes it back, however the block ends. Within itself, and where the owner
    # holds one already, it lends that one, and leaves it.
    #
    # @param timeout [Numeric, nil] seconds to wait for one; nil means the pool's `checkout_timeout`
    # @yieldparam db [Connection]
    # @return [Object] the block's value
    # @raise [TimeoutError] where none came free in time
    # @raise [HostDownError] at once, where the server cannot be reached
    # @raise [ConnectionError] where the server refuses
    # @raise [PoolClosedError]
    def with(timeout: nil)
      owner = Owner.native
      # Object: only that holds back Thread#kill too. What comes while it waits for a connection is let in.
      Thread.handle_interrupt(Object => :on_blocking) do
        slot = _checkout(owner, true) || wait(owner, timeout, true)
        next Thread.handle_interrupt(Object => :immediate) { yield @connections[~slot] } if slot.negative?

        begin
          Thread.handle_interrupt(Object => :immediate) { yield @connections[slot] }
        ensure
          _release(owner, true)
        end
      end
    end

    # Lends a connection until {#release}; the same one where the owner holds one already.
    #
    # @param timeout [Numeric, nil] seconds to wait for one; nil means the pool's `checkout_timeout`
    # @return [Connection]
    # @raise as {#with}
    def lease(timeout: nil)
      # The present thread's number is asked for in there: asking from here would cost more than the rest.
      _lease || lease_slowly(timeout)
    end

    # @!method release
    #   Takes back the connection that the present owner has leased. Never waits: what it left open is rolled back in
    #   the background. What a running {#with} has lent, or a running `transaction` block is in, is left to that.
    #
    #   @return [Boolean] whether it held one

    # Proves that the pool gives a connection that answers.
    #
    # @param timeout [Numeric] seconds
    # @return [true]
    # @raise [TimeoutError, ConnectionError, PoolClosedError]
    def verify!(timeout: 5)
      sweep
      with(timeout: timeout, &:ping)
      true
    end

    # Closes idle connections whose server has hung up.
    #
    # @return [Integer] how many
    def sweep
      _sweep
    end

    # Replaces every connection: idle ones are closed now, leased ones when they come back.
    #
    # @return [Integer] how many were closed now
    def reload
      _reload
    end

    # Closes the pool for good. Idle connections go now, whoever waits is told, and what is leased is waited for.
    #
    # @param timeout [Numeric] seconds
    # @return [true]
    # @raise [TimeoutError] where something is still leased then, and goes when it comes back; or is being closed
    def close(timeout: 10)
      @closed = true
      _close
      deadline = now + timeout
      until _drained
        raise late(:drain, timeout) if now > deadline

        sleep(0.01)
      end
      Pools.remove(self)
      true
    end

    # @return [Hash] size, idle, leased, opening, away (being cleaned), waiting, leases (owner and seconds), released
    def stats
      size, idle, leased, opening, away, waiting = _numbers
      { size: size, idle: idle, leased: leased, opening: opening, away: away, waiting: waiting,
        leases: _leases.map { |owner, seconds| { owner: owner, seconds: seconds } }, released: _released }
    end

    # Nothing of its URL.
    def inspect
      "#<Poolkeeper::Pool #{name}>"
    end

    # @return [Boolean]
    def closed?
      @closed
    end

    # @return [Boolean] whether its size was given, and follows nothing
    attr_reader :sized
    # @api private
    attr_reader :number

    # @api private
    def stacks?
      false
    end

    # @api private
    def resize(size)
      # Slots beyond the size may still be leased.
      # Before the pool knows of more slots than there are connections.
      self.connections = @connections + (@connections.size...size).map { |slot| Connection.new(self, slot) }
      _resize(size)
    end

    private

    # @param connections [Array<Connection>] by their slots
    def connections=(connections)
      @connections = connections.freeze
      _connections(@connections)
    end

    def prepare(number, scheme, options)
      @number = number
      @scheme = scheme
      @name = options[:name]
      @checkout_timeout = options[:checkout_timeout]
      @sized = options[:sized]
      @closed = false
      @reclaimed_at = -RECENTLY
      extend(PoolStacks) if options[:leak_threshold]
      self.connections = Array.new(options[:size]) { |slot| Connection.new(self, slot) }
      Pools.add(self)
    end

    # {#verify!} with the error that {Poolkeeper.verify!} promises.
    def prove(deadline)
      verify!(timeout: [deadline - now, 0.001].max)
    rescue TimeoutError, PoolClosedError => e
      raise ConnectionError, e.message
    end

    # Has a connection answer, and its server say that it takes writes.
    def answer(writes, deadline)
      with(timeout: [deadline - now, 0.001].max) do |db|
        next db.ping unless writes

        taken = db.query(Writable.statement(@scheme)).first[:refuses].to_i.zero?
        Incidents._writes(number, Owner.native, taken)
        raise ReadOnlyError, "pool #{name}: the server refuses writes" unless taken
      end
      true
    end

    def lease_slowly(timeout)
      owner = Owner.native
      slot = _checkout(owner, false) || wait(owner, timeout, false)
      @connections[slot.negative? ? ~slot : slot]
    end

    # Before anybody waits, what the dead still hold is taken from them.
    def wait(owner, timeout, for_block)
      # A forked child has none yet.
      Background.ensure_running
      timeout = timeout.nil? ? @checkout_timeout : Float(timeout)
      raise ArgumentError, "timeout takes seconds, and was given #{timeout}" if timeout.negative? || timeout.nan?

      reclaim if now - @reclaimed_at > RECENTLY
      slot = _checkout(owner, for_block) || _queue(owner, timeout, for_block)
      slot || last_look(owner, for_block) || raise(late(:wait, timeout))
    end

    def last_look(owner, for_block)
      reclaim
      _checkout(owner, for_block)
    end

    # Takes from the dead what they hold, and their places in the queue. Called again and again while somebody waits.
    def reclaim
      @reclaimed_at = now
      gone = Owner.gone(_owners)
      _reclaim(gone) if gone.any?
    end

    def late(step, timeout)
      words = step == :wait ? "no connection came free" : "connections are still leased or being closed"
      held = Owner.describe(_leases)
      error = TimeoutError.new("pool #{name}: #{words} within #{timeout} s (#{step}); #{numbers}#{held}")
      error.instance_variable_set(:@pool, name)
      error.instance_variable_set(:@step, step)
      error
    end

    def numbers
      size, idle, leased, opening, away, waiting = _numbers
      "#{leased} of #{size} leased, #{idle} idle, #{opening} opening, #{away} being cleaned, #{waiting} waiting"
    end

    def now
      ::Process.clock_gettime(::Process::CLOCK_MONOTONIC)
    end
  end
end
