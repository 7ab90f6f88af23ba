# frozen_string_literal: true

module Demo
  module Embedded
    # What this demo does without: nothing of it may be loaded, be it a Ruby file or a library.
    module Drivers
      FEATURES = %w[pg pg_ext mysql2 trilogy sqlite3 sqlite3_native sequel active_record active_support].freeze
      LIBRARIES = %r{/(lib(?:pq|mariadb|mysqlclient|sqlite3)\.so\S*)}

      # @return [Array<String>] what of it is loaded in this process
      def self.loaded
        features = $LOADED_FEATURES.select { |path| FEATURES.include?(File.basename(path, ".*")) }
        maps = File.exist?("/proc/self/maps") ? File.read("/proc/self/maps") : ""
        [*features, *maps.scan(LIBRARIES).flatten].uniq
      end
    end
  end
end
