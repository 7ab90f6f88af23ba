# frozen_string_literal: true

module Poolkeeper
  VERSION = "0.1.0"
end
