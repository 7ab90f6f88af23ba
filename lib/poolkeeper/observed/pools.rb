# frozen_string_literal: true

module Poolkeeper
  module Observed
    # ActiveRecord's pools: how to find them all, and what they are called.
    module Pools
      # What events and statistics say of a pool.
      Description = Struct.new(:name, :role, :shard, :address, :replica, keyword_init: true)

      NUMBER = :@poolkeeper_number

      # Read and changed by several threads, so it is never walked through in Ruby: only its keys and values are.
      @registered = {}

      class << self
        # Every pool of every handler, role and shard. Asked for anew each time: pools appear when they are first used.
        #
        # Neither a version nor `:all` decides: on 6.1 and 7.0 no pool has that role, and nothing would be found.
        def all
          handlers.flat_map do |handler|
            next handler.each_connection_pool.to_a if handler.respond_to?(:each_connection_pool)

            handler.all_connection_pools
          end
        end

        # @return [Integer] the number of a pool, which is registered now if it is new
        def register(pool)
          number = pool.instance_variable_get(NUMBER)
          return number if number && @registered.key?(number)

          number = pool.object_id
          description = describe(pool)
          Mirror._pool(number, *description.to_a)
          @registered[number] = description
          Credentials.give(number, pool.db_config) if pool.respond_to?(:db_config)
          pool.instance_variable_set(NUMBER, number)
        end

        # @return [Integer, nil] the number of a pool that has been met before
        def number(pool)
          pool.instance_variable_get(NUMBER)
        end

        # @return [Description, nil] what is known of the pool with a number
        def registered(number)
          @registered[number]
        end

        # @return [Array<Integer>] the numbers of the pools that are registered now
        def numbers
          @registered.keys
        end

        # @return [Array<String>] the roles of the pools that are registered now
        def roles
          @registered.values.map(&:role).uniq
        end

        # @return [String, nil] what the application calls the role of its writers
        def writing_role
          return unless defined?(::ActiveRecord::Base)

          # 7.0 answers both, and complains about the second.
          owner = [::ActiveRecord, ::ActiveRecord::Base].find { |one| one.respond_to?(:writing_role) }
          owner&.writing_role&.to_s
        end

        # Forgets the pools with these numbers.
        def forget(numbers)
          numbers.each do |number|
            @registered.delete(number)
            Mirror._forget_pool(number)
          end
        end

        private

        def handlers
          base = ::ActiveRecord::Base
          return [base.connection_handler] unless legacy_handlers?(base)

          [base.connection_handler, *base.connection_handlers.values].uniq
        end

        # One handler a role, on 6.1 and 7.0 if the application has not switched it off. 7.0 answers both questions, and
        # complains about the second.
        def legacy_handlers?(base)
          return ::ActiveRecord.legacy_connection_handling if ::ActiveRecord.respond_to?(:legacy_connection_handling)

          base.respond_to?(:legacy_connection_handling) && base.legacy_connection_handling
        end

        def describe(pool)
          config = pool.respond_to?(:db_config) ? pool.db_config : nil
          role, shard = role_and_shard(pool)
          name = unique("#{config.respond_to?(:name) ? config.name : "unnamed"} #{role} #{shard}")
          Description.new(name: name, role: role.to_s, shard: shard.to_s, address: address(config),
                          replica: config.respond_to?(:replica?) && config.replica? ? true : false)
        end

        # Two connection classes may use the same configuration with the same role and shard. A pool that is gone, as
        # after establish_connection, leaves its name to the one in its place.
        def unique(name)
          return name unless taken?(name)

          forget(numbers - (all | Adapters.pools).map { |pool| number(pool) })
          taken?(name) ? "#{name} #{(2..).find { |count| !taken?("#{name} #{count}") }}" : name
        end

        def taken?(name)
          @registered.values.any? { |description| description.name == name }
        end

        # 6.1 pools do not know their role and shard; their handler's managers do.
        def role_and_shard(pool)
          return [pool.role, pool.shard] if pool.respond_to?(:role) && pool.respond_to?(:shard)

          search(pool) || %i[writing default]
        end

        def search(pool)
          by_role.each do |role, manager|
            manager.shard_names.each do |shard|
              return [role, shard] if manager.get_pool_config(role, shard)&.pool.equal?(pool)
            end
          end
          nil
        rescue NoMethodError
          nil
        end

        # With one handler a role, the role is the handler's, and its managers know of shards only.
        def by_role
          base = ::ActiveRecord::Base
          legacy = legacy_handlers?(base) ? base.connection_handlers.to_a : []
          legacy = [[:writing, base.connection_handler]] if legacy.empty?
          legacy.flat_map do |role, handler|
            handler.send(:owner_to_pool_manager).values.flat_map do |manager|
              roles = manager.respond_to?(:role_names) ? manager.role_names : [role]
              roles.map { |own| [own, manager] }
            end
          end
        end

        def address(config)
          hash = config.respond_to?(:configuration_hash) ? config.configuration_hash : {}
          [hash[:host] || hash[:socket] || "localhost", hash[:port]].compact.join(":")
        end
      end
    end
  end
end
