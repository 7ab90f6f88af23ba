# frozen_string_literal: true

module Support
  # What the Rust library defines in Ruby.
  module Native
    SOURCES = File.expand_path("../../ext/poolkeeper/src/*.rs", __dir__)
    # Defined in the library for specs only.
    SPECS = "Trip."

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
      "Notices._next" => [0.0], "Notices._notify" => ["error.rescued", 1, 7, nil, "a spec's", false],
      "Incidents._fault" => [:unreachable, 1, 7], "Incidents._healthy?" => [],
      "Fault._classify" => [[[["PG::ConnectionBad"], nil, nil, "server closed the connection", true, nil]]],
      "Fault._interest" => [["PG::ConnectionBad"]],
      "Sockets._hung_up" => [-1], "Sockets._shut_down" => [-1], "Sockets._identity" => [-1],
      "Sockets._part" => [-1, 1], "Core._forked" => [], "Core._look" => [], "Core._want_watch" => [true],
      "Core._sizes" => [], "Mirror._forget_pool" => [1]
    }.freeze

    class << self
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
