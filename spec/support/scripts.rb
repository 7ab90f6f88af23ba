# frozen_string_literal: true

require "open3"
require "rbconfig"

module Support
  # Scenarios that need a process of their own: what a process is like before, at its end, and after a fork.
  module Scripts
    PRELUDE = <<~RUBY
      require "logger"
      $LOAD_PATH.unshift(#{File.expand_path("../../lib", __dir__).dump})
      require "poolkeeper"
      Poolkeeper.configure { |config| config.logger = Logger.new($stderr) } unless ENV["BARE"]
    RUBY

    # Runs a script with the same Ruby and ActiveRecord, and this database in DATABASE as Ruby code.
    #
    # @return [String] what it printed
    # @raise [RuntimeError] where it fails or lasts too long; with all it said
    def ruby(script, prelude: PRELUDE, database: nil, timeout: 30)
      environment = { "DATABASE" => database.to_h.inspect, "RUBYOPT" => ENV.fetch("RUBYOPT", nil) }
      out, err, status = Open3.capture3(environment, "timeout", "-k1", timeout.to_s, RbConfig.ruby, "-e",
                                        prelude + script)
      raise "the script ended with #{status}: #{out}\n#{err}" unless status.success?

      @script_errors = err
      out
    end

    # @return [String] what the script before wrote to standard error
    attr_reader :script_errors

    # The lines by which a script connects to the example's database.
    CONNECT = <<~RUBY
      require "active_record"
      if ActiveRecord::Base.respond_to?(:legacy_connection_handling=)
        ActiveRecord::Base.legacy_connection_handling = false
      end
      ActiveRecord::Base.establish_connection(eval(ENV.fetch("DATABASE")))
      class Item < ActiveRecord::Base; end
    RUBY
  end
end
