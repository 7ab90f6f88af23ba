# frozen_string_literal: true

require "spec_helper"
require_relative "monitor_contract"
require_relative "scenarios_contract"
require_relative "../support/karafka/real_monitor"

RSpec.configure { |config| config.before(:suite) { config.reporter.message(Support::RealKarafkaMonitor.to_s) } }

RSpec.describe Support::KarafkaMonitor do
  let(:build) { ->(without: []) { described_class.new(without:) } }
  let(:not_registered) { described_class::Notifications::EventNotRegistered }

  it_behaves_like "karafka monitor"
  it_behaves_like "karafka's scenarios"
end

if Support::RealKarafkaMonitor.available?
  RSpec.describe Support::RealKarafkaMonitor do
    let(:build) { ->(without: []) { described_class.build(without:) } }
    let(:not_registered) { described_class.not_registered }

    it_behaves_like "karafka monitor"
    it_behaves_like "karafka's scenarios"

    if described_class::LIBRARY == "karafka"
      it "is of the class that Karafka.monitor has by default" do
        expect(described_class.build).to be_an_instance_of(Karafka.monitor.class)
      end

      # Events come and go with Karafka's versions; the double has those of one.
      it "has the events of the double", if: Karafka::VERSION.start_with?("2.6.") do
        expect(described_class.events).to eq(Support::KarafkaMonitor::EVENTS)
      end
    end
  end
end
