# frozen_string_literal: true

require "English"
require_relative "network/link"
require_relative "network/name"

module Support
  # A network of the suite's own, in which packets can be lost and names can move: namespaces of the kernel, which end
  # with the last process in them, however it ends. Nothing of the machine's own network is touched.
  #
  # Servers and whoever looks on are in one namespace; each process under test is in another, behind a {Link}.
  module Network
    # Where servers listen in there. Loopback's, so that they are there before and after any link.
    ADDRESSES = %w[10.77.0.1 10.77.0.2].freeze

    module_function

    # @param command [Array<String>]
    # @return [Array<String>] the command, to be run in a network and with mounts of its own; its process keeps its id
    def apart(*command)
      ["unshare", *user, "--net", "--mount", "--", *command]
    end

    # Prepares the namespace of the servers; called in there, first of all.
    #
    # @return [void]
    def prepare
      ip("link", "set", "lo", "up")
      ADDRESSES.each { |address| ip("address", "add", "#{address}/32", "dev", "lo") }
      # What comes from where no route leads back to is dropped without a word: so a cut link is silent both ways.
      File.write("/proc/sys/net/ipv4/conf/all/rp_filter", "1")
    end

    # @raise [RuntimeError] where it fails
    def ip(*arguments)
      command("ip", *arguments)
    end

    def command(*words)
      said = IO.popen([*words, { err: %i[child out] }], &:read)
      raise "#{words.join(" ")}: #{said}" unless $CHILD_STATUS.success?
    rescue Errno::ENOENT
      raise "there is no #{words.first}; bin/setup installs it"
    end

    # Whoever is not root may do it all in a namespace of users, and stays who he is.
    def user
      Process.euid.zero? ? [] : %w[--user --map-current-user --keep-caps]
    end
  end
end
