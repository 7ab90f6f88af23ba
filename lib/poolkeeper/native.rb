# frozen_string_literal: true

begin
  # A platform gem carries one library per Ruby minor version.
  require_relative "#{RUBY_VERSION[/\A\d+\.\d+/]}/poolkeeper"
rescue LoadError
  # Built on this machine by gem install or rake compile; it is on the load path, though not always beside this file.
  require "poolkeeper/poolkeeper"
end

module Poolkeeper
  # Tells the core about forks. The child must not use what it inherited: neither the background thread nor the locks.
  module ForkHook
    def _fork
      pid = super
      ForkHook.child if pid.zero?
      pid
    end

    # Does not go through `_fork`.
    def daemon(...)
      super.tap { ForkHook.child }
    end

    # Starts clean; harmless when called again, and in a process that has not forked.
    def self.child(attempts = 2)
      Core._forked and Observed::Pools.forget(Observed::Pools.numbers)
    rescue InternalError => e
      # It would come out of the application's own `fork`.
      Log.rescued("starting clean after a fork", e)
      retry if (attempts -= 1).positive?
    end
  end

  ::Process.singleton_class.prepend(ForkHook)
end
