# frozen_string_literal: true

require "etc"

module Bench
  # Under which conditions figures were taken. Without them a figure says little, and nothing beside another run's.
  module Conditions
    module_function

    # @param postgres [String] version
    # @return [String] one line, fit to stand under a table
    def line(postgres)
      "Ruby #{RUBY_VERSION}, ActiveRecord #{ActiveRecord.version}, PostgreSQL #{postgres} over loopback, " \
        "pg #{PG::VERSION}, #{Etc.nprocessors} cores, load #{load}"
    end

    # @return [String] the same without a server
    def host
      "Ruby #{RUBY_VERSION}, ActiveRecord #{ActiveRecord.version}, #{Etc.nprocessors} cores, load #{load}"
    end

    # @return [String] how many processes wanted a core in the last 1, 5 and 15 minutes
    def load
      File.read("/proc/loadavg").split.first(3).join(" ")
    rescue SystemCallError
      "unknown"
    end
  end
end
