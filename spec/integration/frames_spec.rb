# frozen_string_literal: true

require "spec_helper"
require "json"
require "tempfile"
require_relative "../support/trip"
require_relative "../support/wait_points"

# An interrupt that is handled in the wrong place leaves Rust by a jump over its frames, and what they hold is lost. In
# the library for specs each entry counts its frame on the way in and, by its destructor, on the way out.
RSpec.describe "Rust's frames", :scripts do
  before(:context) { @prelude = Support::Trip.prelude }

  it "are counted: one that Ruby jumps over is missed" do
    said = answers(<<~RUBY, @prelude)
      require "poolkeeper"
      waits = { "the right way" => -> { Poolkeeper::Notices._next(60) },
                "the wrong way" => -> { Poolkeeper::Trip._be_jumped_over(60) } }
      frames = waits.transform_values do |wait|
        thread = Thread.new(&wait)
        wait_until { Poolkeeper::Trip._frames.positive? && thread.status == "sleep" }
        thread.kill.join
        Poolkeeper::Trip._frames
      end
      say(**frames.transform_keys(&:to_sym))
    RUBY
    expect(said).to eq("the right way": 0, "the wrong way": 1)
  end

  # The same examples again, in a process with that library; each looks at the count at its end.
  describe "at every place that waits" do
    before(:context) do
      options = "#{ENV.fetch("RUBYOPT", "")} -I#{Support::Trip.folder} -I#{Support::Trip::ROOT}/lib -rpoolkeeper"
      environment = { "RUBYOPT" => options, "SPEC_OPTS" => nil, "POOLKEEPER_FRAMES" => "counted" }
      Tempfile.create("frames") do |file|
        command = %W[timeout -k1 400 rspec spec/integration/interrupts_spec.rb --format json --out #{file.path}]
        @said, = Open3.capture2e(environment, *command, chdir: Support::Trip::ROOT, stdin_data: "")
        @results = JSON.parse(File.read(file.path)).fetch("examples")
      end
    end

    it "are left in order by every interrupt" do
      failed = @results.reject { |one| one["status"] == "passed" }
      expect(failed.map { |one| [one["full_description"], one.dig("exception", "message")] }).to eq([]), @said
      expect(@results.size).to eq(Support::WaitPoints.all.size * 4)
    end
  end
end
