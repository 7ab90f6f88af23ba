# frozen_string_literal: true

module Poolkeeper
  module Observed
    # Finds the pool that a refused connect is about, where the error does not carry it (6.1 and 7.0). What the owner
    # holds says nothing here: a connection of that pool is just what it could not get.
    module Refusal
      # How libpq names the place, from PostgreSQL 14 on.
      PLACE = %r{
        connection\ to\ server\ (?:
          at\ "(?<host>[^"]+)"(?:\ \((?<ip>[^)]+)\))?,\ port\ (?<port>\d+) |
          on\ socket\ "(?<folder>[^"]+)/\.s\.PGSQL\.(?<socket>\d+)"
        )
      }x
      DEFAULT_PORT = "5432"

      class << self
        # @return [Integer, nil] the number of the only pool with the address that the text names
        def pool(text)
          place = PLACE.match(text) or return
          port = place[:port] || place[:socket]
          hosts = [place[:host], place[:ip], place[:folder]].compact
          addresses = hosts.map { |host| "#{host}:#{port}" }
          # Without a port in the configuration the address is the host alone.
          addresses += hosts if port == DEFAULT_PORT
          pools = Pools.at(addresses)
          pools.first if pools.size == 1
        end
      end
    end
  end
end
