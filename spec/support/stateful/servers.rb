# frozen_string_literal: true

module Support
  module Stateful
    # What is done to the servers and to the pools' configurations, and what the servers see.
    module Servers
      NAMES = { %i[writing default] => "primary", %i[reading default] => "replica",
                %i[writing one] => "one", %i[reading one] => "one_replica" }.freeze

      # Ends the server process of a connection, and waits until this process can know.
      #
      # @param victim [Walk::Connection]
      def terminate(victim)
        reasons[:deaths] += 1
        socket = driver.socket(victim.adapter)
        server = victim.spot.first == :writing ? primary : standby
        server.terminate(driver.backend(victim.adapter))
        Support.wait_until(timeout: PATIENCE, message: "the end of a server process has arrived") do
          Sockets.closing?(socket) || victim.pool.connections.none? { |adapter| adapter.equal?(victim.adapter) }
        end
      end

      # @return [Array<Integer>] the server processes that the pools' connections have, but for those that were ended
      def backends
        alive = connections.map(&:adapter).reject { |adapter| Sockets.closing?(driver.socket(adapter)) }
        alive.filter_map { |adapter| driver.backend(adapter) }.sort
      end

      # @return [Array<Integer>] the same, as the servers have them
      def sessions
        cluster.nodes.flat_map { |node| node.backends.map(&:pid) }.sort
      end

      # Another pool in the place of one.
      def replace_pool(spot, size)
        name = NAMES.fetch(spot)
        @configurations[name] = @configurations[name].merge("pool" => size)
        ActiveRecord::Base.configurations = { "default_env" => @configurations }
        at(spot) { ActiveRecord::Base.establish_connection(name.to_sym) }
      end

      private

      def remember_configurations
        @configurations = NAMES.to_h do |spot, name|
          [name, pool(spot).db_config.configuration_hash.transform_keys(&:to_s)]
        end
      end
    end
  end
end
