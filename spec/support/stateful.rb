# frozen_string_literal: true

require "active_record"
require "English"

module Support
  # The random test: thousands of operations on ActiveRecord's pools, one at a time, on several owner threads that act
  # on command. After each of them the mirror is compared with the pools themselves. What is done next comes from a seed
  # and the number of the step, so that a failure can be played again.
  module Stateful
  end
end

%w[proc wait driver resources sockets async].each { |file| require_relative file }
%w[errors draw owner walk mirror pins rows using servers reaping world history watchdog messages counters check turn
   releasing work child operation tally].each { |file| require_relative "stateful/#{file}" }
%w[leases transactions pinning pools faults interrupts process].each do |file|
  require_relative "stateful/operations/#{file}"
end
require_relative "stateful/run"
