# frozen_string_literal: true

begin
  # A platform gem carries one library per Ruby minor version.
  require_relative "#{RUBY_VERSION[/\A\d+\.\d+/]}/poolkeeper"
rescue LoadError
  # Built on this machine by gem install or rake compile; it is on the load path, though not always beside this file.
  require "poolkeeper/poolkeeper"
end
