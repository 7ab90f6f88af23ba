# frozen_string_literal: true

module Support
  # What specs say differently to PostgreSQL and to MariaDB. POOLKEEPER_DATABASE names the family that a run is about.
  #
  # An example that only one of them can tell carries `only: :postgresql` or `only: :mariadb`, and is no part of a run
  # with the other.
  module Dialect
    FAMILIES = %w[postgresql mariadb].freeze

    # @return [Symbol] :postgresql or :mariadb
    def self.family
      chosen = ENV.fetch("POOLKEEPER_DATABASE", FAMILIES.first)
      return chosen.to_sym if FAMILIES.include?(chosen)

      raise "POOLKEEPER_DATABASE is one of #{FAMILIES.join(", ")}, not #{chosen.inspect}"
    end

    # @return [Module] {Postgresql} or {Mariadb}
    def self.current
      require_relative "dialect/#{family}"
      const_get(family.to_s.capitalize)
    end
  end
end
