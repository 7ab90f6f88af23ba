# frozen_string_literal: true

require "json"
require "open3"
require "rbconfig"

module Support
  # Scenarios that need a process of their own: what a process is like before, at its end, and after a fork.
  module Scripts
    ROOT = File.expand_path("../..", __dir__)

    # In a script: `say` prints the answers, `wait_until` waits.
    PRELUDE = <<~RUBY.freeze
      require "json"
      require "logger"
      require #{File.join(ROOT, "spec/support/wait").dump}
      $LOAD_PATH.unshift(#{File.join(ROOT, "lib").dump})
      $stdout.sync = true
      def say(**answers) = puts(JSON.generate(answers))
      def wait_until(...) = Support.wait_until(...)
      def error_of
        yield
        nil
      rescue Exception => e
        e
      end
    RUBY

    # `terminate` ends the connections of a server's other clients, and waits until they are gone.
    TERMINATE = Dialect.current::TERMINATE

    # poolkeeper with all its log lines on standard error.
    POOLKEEPER = <<~RUBY
      require "poolkeeper"
      Poolkeeper.configure { |config| config.logger = Logger.new($stderr) }
    RUBY

    # The lines by which a script connects to the example's database.
    CONNECT = <<~RUBY.freeze
      require "active_record"
      if ActiveRecord::Base.respond_to?(:legacy_connection_handling=)
        ActiveRecord::Base.legacy_connection_handling = false
      end
      ActiveRecord::Base.establish_connection(eval(ENV.fetch("DATABASE")))
      class Item < ActiveRecord::Base; end
      def pool = ActiveRecord::Base.connection_pool
      def hold = Item.respond_to?(:lease_connection) ? Item.lease_connection : Item.connection
      def backend_of(adapter) = adapter.select_value(#{Dialect.current::OWN_PID.dump})
    RUBY

    # Runs a script with the same Ruby and ActiveRecord, and this database in DATABASE as Ruby code.
    #
    # @param signal [Integer, nil] the signal by which it is to end; nil where it ends with status 0
    # @return [String] what it printed
    # @raise [RuntimeError] where it ends otherwise, lasts too long or warns of our files; with all it said
    def ruby(script, *before, database: nil, timeout: 30, signal: nil)
      source = [PRELUDE, *before, script].join("\n")
      out, err, status = Open3.capture3({ "DATABASE" => database.inspect }, "timeout", "-k1", timeout.to_s,
                                        RbConfig.ruby, "-", stdin_data: source)
      @script_errors = err
      ended = signal ? status.termsig == signal : status.success?
      return out if ended && !err.match?(%r{^#{ROOT}/(?:lib|spec)/.*warning: })

      raise "the script ended with #{status}: #{out}\n#{err}"
    end

    # @return [Hash{Symbol => Object}] what a script said last
    def answers(script, *before, **options)
      JSON.parse(ruby(script, *before, **options).lines.last.to_s, symbolize_names: true)
    end

    # @return [String] what the script before wrote to standard error
    attr_reader :script_errors
  end
end
