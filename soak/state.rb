# frozen_string_literal: true

module Soak
  # What there is while nobody works: every pool full of idle connections.
  class State
    include Support::Database

    # @return [Array<Integer>] the servers' processes
    attr_reader :sessions
    # @return [Support::Resources::Figures]
    attr_reader :figures

    def initialize
      pools.each { |pool| warm_up(pool: pool) }
      Poolkeeper.release
      Support::Async.wait if Support::Async.there?
      @sessions = cluster.nodes.flat_map { |node| node.backends.map(&:pid) }.sort
      @figures = Support::Resources.still
    end
  end
end
