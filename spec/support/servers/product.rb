# frozen_string_literal: true

require "etc"

module Support
  # What throw-away database servers have in common, whichever product they are.
  module Servers
    # Something that this helper needed did not work; says what to do where something can be done.
    class Error < StandardError; end

    # Somebody else has the port.
    class PortTaken < Error; end

    # How a product's servers are kept.
    #
    # @!attribute name [String] as people write it
    # @!attribute prefix [String] of the temporary folders
    # @!attribute users [Array<String>] whom root may run it as, the first that exists
    # @!attribute ending [Symbol] the signal that ends a server at once and leaves nothing behind
    Product = Struct.new(:name, :prefix, :users, :ending, keyword_init: true) do
      # @return [Etc::Passwd, nil] whom to run the server as; nil means as ourselves. Neither product serves as root.
      # @raise [Error] when we are root and know nobody else
      def user
        return unless Process.euid.zero?

        users.each do |name|
          return Etc.getpwnam(name)
        rescue ArgumentError
          next
        end
        raise Error, "#{name} does not run as root, and none of #{users.join(", ")} is a user of this machine; " \
                     "create one with: useradd --system #{users.first}"
      end

      # @param user [Etc::Passwd, nil]
      # @return [Array<String>] what to put before a command to run it as that user
      # @raise [Error] when setpriv is needed and missing
      def privilege_drop(user)
        return [] unless user

        setpriv = ENV["PATH"].split(":").map { |folder| File.join(folder, "setpriv") }.find { |f| File.executable?(f) }
        raise Error, "setpriv not found, without which root cannot start #{name}; apt-get install util-linux" \
          unless setpriv

        [setpriv, "--reuid=#{user.uid}", "--regid=#{user.gid}", "--clear-groups", "--"]
      end
    end
  end
end
