# frozen_string_literal: true

require "tmpdir"

module Support
  module Servers
    # Where sandboxes are made.
    module Place
      # Copying a data folder takes 0.07 s in memory; on a busy virtual disk it took 1.8 s.
      MEMORY = "/dev/shm"
      # In containers it often holds no more than 64 MB, less than two data folders.
      ENOUGH_KB = 1024 * 1024
      # Socket paths end at 107 bytes; "/.s.PGSQL.65535" and the folder's random name have to fit.
      LONGEST = 60

      module_function

      # @param user [Etc::Passwd, nil] whom the servers run as, nil for ourselves
      # @return [String] TMPDIR if it is set and will do, else memory, else the usual folders
      # @raise [Error] when the user can reach none
      def base(user)
        memory = MEMORY if !ENV.key?("TMPDIR") && roomy?(MEMORY)
        [memory, Dir.tmpdir, "/tmp", "/var/tmp"].compact.find { |folder| usable?(folder, user) } ||
          raise(Error, "no temporary folder that the server's user (#{user&.name || "we"}) can use; set TMPDIR")
      end

      def roomy?(folder)
        return false unless File.directory?(folder)

        report = IO.popen(["df", "-Pk", folder], &:readlines)
        report.last.to_s.split[3].to_i >= ENOUGH_KB
      end

      # TMPDIR may lie in root's home, where the server's user gets nowhere.
      def usable?(folder, user)
        return false if folder.bytesize > LONGEST || !File.writable?(folder)

        path = File.realpath(folder)
        parents = [path]
        parents << path = File.dirname(path) until path == "/"
        user.nil? || parents.all? { |parent| File.stat(parent).mode.anybits?(0o001) }
      end
    end
  end
end
