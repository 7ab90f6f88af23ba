# frozen_string_literal: true

require "spec_helper"
require_relative "../support/native"
require_relative "../support/trip"

# Where a panic is forced by name, see ext/core/src/trip.rs.
RSpec.describe "A panic in Rust", :once, :scripts do
  entries = Support::Native.registered.reject { |name| name.start_with?(Support::Native::SPECS) }
  # The places that an entry may come by, beside its own beginning.
  places = ["locked", "changed", "hosts", "event queue"]

  before(:context) { @prelude = Support::Trip.prelude }

  attr_reader :prelude

  describe "in an entry" do
    # The answers of every entry at every place, by one process that lives through all of it.
    before(:context) do
      extend Support::Scripts
      @said = answers(<<~RUBY, @prelude, "require #{File.join(Support::Scripts::ROOT, "spec/support/native").dump}")
        require "poolkeeper"
        Poolkeeper.config.logger = nil
        calls = Support::Native::CALLS
        attempt = lambda do |name|
          Support::Native.call(name)
          nil
        rescue StandardError => e
          [e.class.name, e.message]
        end
        healthy = -> { calls.keys.filter_map { |name| (error = attempt.call(name)) && [name, error] } }
        before = healthy.call
        answers = calls.keys.to_h do |name|
          [name, ["entry", *#{places.inspect}].to_h do |place|
            %w[Mirror._pool Mirror._enlist Incidents._fault].each { |call| attempt.call(call) }
            count = tripped(place)
            # Not for the background, which has panics of its own; nor for the collector, which may come by with a pool that
            # nobody has any more.
            GC.disable
            trip(place, here: true)
            error = attempt.call(name)
            trip(place, 0)
            GC.enable
            [place, [error, tripped(place) - count, attempt.call(name)]]
          end]
        end
        say(before: before, answers: answers, after: healthy.call, frames: Poolkeeper::Trip._frames,
            reflected: Support::Native.reflected(Poolkeeper))
      RUBY
    end

    it "is looked for in all there are: what is registered, what reflection finds and what is called are the same" do
      expect(entries).to match_array(Support::Native::CALLS.keys)
      expect(Support::Native.reflected(Poolkeeper)).to match_array(entries)
      expect(@said[:reflected].reject { |name| name.start_with?(Support::Native::SPECS) }).to match_array(entries)
    end

    entries.each do |entry|
      it "becomes an InternalError that can be rescued, and the next call is answered (#{entry})" do
        error, count, after = @said[:answers][entry.to_sym][:entry]
        expect(error).to match(["Poolkeeper::InternalError", /tripped at entry.*please report.*pools remain usable/])
        expect([count, after]).to eq([1, nil])
      end

      it "with a lock held leaves the lock to the next call (#{entry})" do
        at_places = @said[:answers][entry.to_sym].reject { |place, _| place == :entry }
        at_places.each do |place, (error, count, after)|
          # Where it does not come by it is answered, and where it does it fails: no third way.
          expected = count.zero? ? be_nil : match(["Poolkeeper::InternalError", /tripped at #{place}/])
          expect(error).to(expected, "at #{place}: #{error}")
          expect([place, after]).to eq([place, nil])
        end
      end
    end

    places.each do |place|
      it "is forced in some entry at least (#{place})" do
        expect(@said[:answers].values.sum { |at| at[place.to_sym][1] }).to be_positive
      end
    end

    it "spoils nothing: before and after all of that every entry is answered, and no Rust frame is left" do
      expect(@said.values_at(:before, :after, :frames)).to eq([[], [], 0])
    end
  end
end

RSpec.describe "The library that is shipped", :once do
  root = Support::Trip::ROOT

  before(:context) { Support::Trip.folder }

  it "cannot be made to panic: it has no such entry, and none of the code behind it" do
    expect(Poolkeeper.const_defined?(:Trip)).to be(false)
    library = $LOADED_FEATURES.grep(%r{/poolkeeper\.#{RbConfig::CONFIG["DLEXT"]}\z}).fetch(0)
    expect(File.binread(library)).not_to include("tripped at")
    expect(File.binread(File.join(Support::Trip.folder, "poolkeeper", File.basename(library)))).to include("tripped at")
  end

  it "is built without features, and none is on by default" do
    manifests = Dir[File.join(root, "{.,ext/*}/Cargo.toml")].map { |path| File.read(path) }
    expect(manifests.join).to include("trip = [")
    expect(manifests).to all(satisfy { |text| !text.match?(/^default\s*=/) })
    expect(File.read(File.join(root, "ext/poolkeeper/extconf.rb"))).not_to match(/--(?:all-)?features/)
  end

  it "has no other places than those that are forced here" do
    places = Dir[File.join(root, "ext/**/*.rs")].flat_map { |path| File.read(path).scan(/trip::here\("([^"]+)"\)/) }
    specs = Dir[File.join(root, "spec/integration/panics*_spec.rb")].map { |path| File.read(path) }.join
    expect(places.flatten.uniq.size).to be >= 9
    expect(places.flatten).to all(satisfy { |place| specs.include?(%("#{place}")) })
  end
end
