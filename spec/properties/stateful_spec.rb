# frozen_string_literal: true

require "spec_helper"
require "open3"
require "rbconfig"

# `rake properties` takes 100,000 steps on each ActiveRecord; here are as many as a run of the suite can wait for.
RSpec.describe "Random operations" do
  # Each in a process of its own, whose descriptors, threads and memory are nobody else's; and before the example, which
  # has only a minute.
  { "a short walk" => [7, 400], "a long walk" => [3, 5_000] }.each do |name, (seed, steps)|
    context "in #{name}" do
      before(:context) do
        command = [RbConfig.ruby, "-I#{Support::Scripts::ROOT}/lib", "#{__dir__}/run.rb", seed.to_s, steps.to_s]
        @said, @status = Open3.capture2e({ "MALLOC_ARENA_MAX" => "2" }, "timeout", "-k5", "300", *command)
      end

      it "leave the mirror and the pools the same after each of #{steps} steps, and nothing behind" do
        expect(@status).to be_success, @said
        expect(@said).to match(/^seed #{seed}, #{steps} steps/)
      end
    end
  end
end
