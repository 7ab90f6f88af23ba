# frozen_string_literal: true

require_relative "sandbox"

module Support
  module Servers
    # A fresh data folder with the role and the database in it. Making it takes most of the time of a start, so one
    # template serves all clusters of a run, each of which gets a copy. A product's own class says how it is built.
    class Template
      LOCK = Mutex.new
      private_constant :LOCK

      # @return [Template] this run's; a forked child makes its own, as the parent's goes when the parent ends
      def self.current
        LOCK.synchronize { @current&.usable? ? @current : @current = new }
      end

      # @param product [Product]
      def initialize(product)
        @sandbox = Sandbox.new(product)
        build
        built = true
      ensure
        @sandbox&.close unless built
      end

      # @return [Boolean]
      def usable?
        @sandbox.usable?
      end

      # @param sandbox [Sandbox] where to
      # @param name [String] of the folder there
      # @return [void]
      def copy(sandbox, name)
        sandbox.run("cp", "-a", "--reflink=auto", data, sandbox.path(name))
      end

      private

      def data
        @sandbox.path("data")
      end
    end
  end
end
