# frozen_string_literal: true

module Support
  # The models of the suite; loaded once ActiveRecord is there.
  module Models
    class Record < ActiveRecord::Base
      self.abstract_class = true
    end

    class Item < Record
      self.table_name = "items"
    end

    class << self
      def connect
        ActiveRecord::Base.connects_to(shards: { default: { writing: :primary, reading: :replica },
                                                 one: { writing: :one, reading: :one_replica } })
      end

      def disconnect
        handler = ActiveRecord::Base.connection_handler
        %i[writing reading].product(%i[default one]).each do |role, shard|
          handler.remove_connection_pool("ActiveRecord::Base", role: role, shard: shard)
        end
      end
    end
  end
end
