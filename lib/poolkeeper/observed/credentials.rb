# frozen_string_literal: true

require "erb"

module Poolkeeper
  module Observed
    # By what a host monitor goes: ActiveRecord's configuration of a pool, written as the URL of a native one.
    module Credentials
      POSTGRESQL = %w[postgresql postgis].freeze
      MYSQL = %w[mysql2 trilogy].freeze
      # What the monitor's driver reads as the adapters do.
      POSTGRESQL_FILES = { sslrootcert: "sslrootcert", sslcert: "sslcert", sslkey: "sslkey" }.freeze
      MYSQL_FILES = { sslca: "ssl-ca", sslcert: "ssl-cert", sslkey: "ssl-key" }.freeze

      class << self
        # Hands a pool's credentials to the core; without any that it can use its hosts are not watched over.
        def give(number, config)
          url = url(config.configuration_hash) if config.respond_to?(:configuration_hash)
          Monitors._credentials(number, url) if url
        end

        # @param hash [Hash] as `database.yml` has it
        # @return [String, nil] nil for an adapter that no monitor speaks for
        def url(hash)
          adapter = hash[:adapter].to_s
          return postgresql(hash) if POSTGRESQL.include?(adapter)

          mysql(hash) if MYSQL.include?(adapter)
        end

        private

        def postgresql(hash)
          # A folder stands for a socket; a list is libpq's, and the monitor goes to one address anyway.
          folder, host = hash[:host].to_s.start_with?("/") ? [hash[:host], nil] : [nil, first(hash[:host])]
          query = { "host" => folder, "sslmode" => hash[:sslmode], **files(hash, POSTGRESQL_FILES) }
          assemble("postgres", host, first(hash[:port]), hash, query)
        end

        def mysql(hash)
          host = hash[:host] unless hash[:socket]
          query = { "socket" => hash[:socket], "ssl-mode" => ssl_mode(hash), **files(hash, MYSQL_FILES) }
          assemble("mysql", host, hash[:port], hash, query)
        end

        def first(value)
          value.to_s.split(",").first
        end

        # As a Symbol or a String, with or without what libmysqlclient puts before it.
        def ssl_mode(hash)
          hash[:ssl_mode]&.to_s&.downcase&.delete_prefix("ssl_mode_")
        end

        def files(hash, names)
          names.to_h { |key, name| [name, hash[key]] }
        end

        def assemble(scheme, host, port, hash, query)
          account = [hash[:username] || hash[:user], hash[:password]].compact.map { |value| escape(value) }.join(":")
          place = "#{"#{account}@" unless account.empty?}#{bracketed(host || "localhost")}#{":#{port}" if port}"
          asked = query.compact.map { |name, value| "#{name}=#{escape(value)}" }.join("&")
          "#{scheme}://#{place}/#{escape(hash[:database])}#{"?#{asked}" unless asked.empty?}"
        end

        # An address of version 6 holds colons.
        def bracketed(host)
          host.to_s.count(":") > 1 ? "[#{host}]" : host
        end

        def escape(value)
          ERB::Util.url_encode(value.to_s)
        end
      end
    end
  end
end
