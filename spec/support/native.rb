# frozen_string_literal: true

module Support
  # What the Rust library defines in Ruby.
  module Native
    SOURCES = File.expand_path("../../ext/poolkeeper/src/**/*.rs", __dir__)
    # Defined in the library for specs only.
    SPECS = "Trip."

    # Those of a native pool, as Ruby has checked them.
    OPTIONS = { name: "a spec", size: 3, min: 0, checkout_timeout: 5.0, connect_timeout: 5.0, check_idle_after: 30.0,
                idle_timeout: nil, max_lifetime: nil, keepalive: nil, statement_timeout: nil, leak_threshold: nil,
                application_name: nil }.freeze

    # A call of each entry that succeeds; what is told of pool 1 comes first, so that the others find it.
    CALLS = {
      "Mirror._pool" => [1, "primary writing default", "writing", "default", "localhost", false],
      "Mirror._enlist" => [1], "Mirror._checkout" => [1, 7, 7], "Mirror._checkin" => [1, -1],
      "Mirror._settle" => [1, -1], "Mirror._condemned" => [1], "Mirror._observe" => [], "Mirror._held" => [7],
      "Mirror._leases" => [7], "Mirror._lease" => [1], "Mirror._released" => [7], "Mirror._job" => [7, "orders", 3],
      "Mirror._begin" => [7], "Mirror._seed" => [1, 7], "Mirror._missed" => [1, 7], "Mirror._found_with" => [1, 7],
      "Mirror._lease_ended" => [1], "Mirror._forget" => [1],
      "Mirror._newest" => [], "Mirror._retain" => [1, [1]], "Mirror._dropped" => [1], "Mirror._keep" => [1],
      "Mirror._report" => [1],
      "Mirror._count" => [1, "released", false], "Mirror._stats" => [],
      "Monitors._want" => [5.0, 1.0, 1.0, 3], "Monitors._deadline" => [10.0], "Monitors._report" => [false],
      "Monitors._credentials" => [1, "postgres://a@127.0.0.1:1/b"], "Monitors._refresh" => [1, -1],
      "Notices._next" => [0.0], "Notices._notify" => ["error.rescued", 1, 7, nil, "a spec's", false, nil],
      "Incidents._fault" => [:unreachable, 1, 7], "Incidents._healthy?" => [],
      "Incidents._troubled" => ["writing", true], "Incidents._writes" => [1, 7, true],
      "Fault._classify" => [[[["PG::ConnectionBad"], nil, nil, "server closed the connection", true, nil]]],
      "Fault._interest" => [["PG::ConnectionBad"]],
      "Sockets._hung_up" => [-1], "Sockets._shut_down" => [-1], "Sockets._identity" => [-1],
      "Sockets._part" => [-1, 1], "Core._forked" => [], "Core._look" => [], "Core._want_watch" => [true],
      "Core._leak_threshold" => [nil],
      "Core._sizes" => [], "Mirror._forget_pool" => [1],
      "Pool._open" => [3, "sqlite::memory:", OPTIONS], "Pool._release_all" => [6], "Pool._fibers_own" => [false],
      "Pool._present" => [],
      "Pool#_checkout" => [7, false], "Pool#_query" => [0, 7, "SELECT ?1 AS one", [1], false], "Pool#_begin" => [0, 7],
      "Pool#_level" => [0, 7], "Pool#_commit" => [0, 7, 0], "Pool#_roll_back" => [0, 7, 0, true],
      "Pool#_ping" => [0, 7], "Pool#_lease" => [], "Pool#_connections" => [[]],
      "Pool#release" => [], "Pool#_queue" => [8, 5.0, true], "Pool#_release" => [8, true], "Pool#_reclaim" => [[9]],
      "Pool#_sweep" => [], "Pool#_reload" => [], "Pool#_resize" => [4], "Pool#_close_idle" => [], "Pool#_numbers" => [],
      "Pool#_leases" => [], "Pool#_owners" => [], "Pool#_released" => [], "Pool#_drained" => [], "Pool#_parted" => [],
      "Pool#_close" => []
    }.freeze

    # What comes before a call, so that it finds what it is about.
    FIRST = { "Pool#_query" => "Pool#_checkout", "Pool#_begin" => "Pool#_checkout", "Pool#_level" => "Pool#_checkout",
              "Pool#_commit" => %w[Pool#_checkout Pool#_roll_back Pool#_begin],
              "Pool#_roll_back" => "Pool#_checkout", "Pool#_ping" => "Pool#_checkout",
              "Pool#_queue" => "Pool#_release" }.freeze

    class << self
      # Calls an entry of the library; those of a pool on one in memory, that holds a connection for owner 7.
      #
      # @return [Object] what it answers
      def call(name, arguments = CALLS.fetch(name))
        owner, method = name.split(/[.#]/)
        return Poolkeeper.const_get(owner).send(method, *arguments) unless name.include?("#")

        pool = name == "Pool#_close" ? Poolkeeper::Pool._open(4, "sqlite::memory:", OPTIONS) : self.pool
        Array(FIRST[name]).each { |first| pool.send(first.delete_prefix("Pool#"), *CALLS.fetch(first)) }
        pool.send(method, *arguments)
      end

      # @return [Poolkeeper::Pool] with one connection open and idle
      def pool
        @pool ||= Poolkeeper::Pool._open(5, "sqlite::memory:", OPTIONS).tap do |pool|
          pool._queue(7, 5.0, false)
        end
      end

      # @return [Array<String>] the entries as the sources register them, such as "Mirror._pool"
      def registered
        Dir[SOURCES].flat_map { |path| entries(File.read(path)) }
      end

      # @return [Array<String>] the methods under a module that no Ruby source defines, as reflection finds them
      def reflected(owner)
        modules(owner).flat_map do |mod|
          name = mod.name.delete_prefix("#{owner.name}::")
          native(mod.singleton_class) { |method| mod.method(method) }.map { |method| "#{name}.#{method}" } +
            native(mod) { |method| mod.instance_method(method) }.map { |method| "#{name}##{method}" }
        end
      end

      private

      def entries(source)
        modules = source.scan(/let (\w+) = \w+\.define_(?:module|class)\("(\w+)"/).to_h
        defined = source.scan(/(\w+)\.define_(singleton_method|module_function|\w*method|\w*function)\(\s*"([^"]+)"/)
        defined.map do |variable, kind, name|
          "#{modules.fetch(variable, variable)}#{kind == "singleton_method" ? "." : "#"}#{name}"
        end
      end

      def modules(owner, seen = [])
        return seen if seen.include?(owner)

        seen << owner
        nested = owner.constants(false).map { |name| owner.const_get(name) }
        nested.select { |value| value.is_a?(Module) && value.name&.start_with?(owner.name) && !(value <= Struct) }
              .each { |mod| modules(mod, seen) }
        seen
      end

      def native(mod, &method)
        names = mod.instance_methods(false) + mod.private_instance_methods(false)
        names.select { |name| method.call(name).source_location.nil? }
      end
    end
  end
end
