# frozen_string_literal: true

module Support
  module Faults
    # What poolkeeper is told about silent servers, as far as it knows of such options.
    module Mechanisms
      OPTIONS = %i[socket_deadline host_monitor].freeze

      module_function

      # @return [Array<Symbol>] those that this poolkeeper has
      def known
        OPTIONS.select { |option| Poolkeeper.config.respond_to?(:"#{option}=") }
      end

      # @param wanted [Hash{Symbol => Object}] by option; others keep their defaults
      # @return [void]
      def configure(wanted)
        wanted.slice(*known).each { |option, value| Poolkeeper.config.public_send(:"#{option}=", value) }
      end
    end
  end
end
