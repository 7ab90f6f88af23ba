# frozen_string_literal: true

desc "Look at the Ruby code with RuboCop"
task :lint do
  sh "rubocop"
end
