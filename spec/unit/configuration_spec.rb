# frozen_string_literal: true

require "spec_helper"

RSpec.describe Poolkeeper::Configuration do
  subject(:config) { described_class.new }

  # Changed for the whole process, so it is set back.
  after do
    Poolkeeper::Core._want_watch(true)
    described_class.new.leak_threshold = nil
  end

  let(:logger) { Logger.new(StringIO.new) }

  good = { mode: %i[act report], active_record: [true], watch: [true, false],
           socket_deadline: [1, 2.5, 7200, false],
           host_monitor: [false, { after: 0.5, interval: 0.2, timeout: 0.1, failures: 1 }],
           leak_threshold: [60.0, 0.001, 1e300, nil] }
  wrong = {
    mode: [nil, "act", :off, true, 1],
    active_record: [nil, "true", 1, :yes],
    watch: [nil, "false", 0, Object.new],
    socket_deadline: [nil, true, 0, 0.5, -1, 7201, "10", Float::NAN, Float::INFINITY, Complex(1, 1)],
    host_monitor: [nil, true, 5, { afer: 1 }, { after: 0 }, { after: nil }, { interval: "1" }, { timeout: 1.1 },
                   { failures: 0 }, { failures: 1.5 }, { after: Float::NAN }, { interval: 86_401 }],
    leak_threshold: [0, -1, Float::NAN, Float::INFINITY, "60", true, :off, Complex(1, 1)],
    logger: [1, "log/poolkeeper.log", $stderr, Object.new, false]
  }
  takes = { mode: /:act or :report/, active_record: /true or false/, watch: /true or false/,
            socket_deadline: /seconds from 1 to 7200, or false/,
            host_monitor: /a Hash with|and no others|seconds from|an Integer from|no longer than the interval/,
            leak_threshold: /seconds, more than 0/, logger: /responds to info, warn and error, or nil/ }

  it "begins with what the documentation says" do
    expect(config).to have_attributes(mode: :act, active_record: true, watch: true, act?: true, socket_deadline: 10,
                                      host_monitor: { after: 5, interval: 1, timeout: 1, failures: 3 },
                                      leak_threshold: nil)
  end

  good.each do |option, values|
    values.each do |value|
      it "takes #{option} = #{value.inspect}" do
        config.public_send("#{option}=", value)
        expect(config.public_send(option)).to eq(value)
      end
    end
  end

  it "takes active_record = false only before ActiveRecord is observed" do
    allow(Poolkeeper::Observed).to receive(:observing?).and_return(false, true)
    config.active_record = false
    expect(config.active_record).to be(false)
    expect { config.active_record = false }.to raise_error(Poolkeeper::ConfigurationError, /before anything else/)
  end

  wrong.each do |option, values|
    values.each do |value|
      shown = value.is_a?(Object) && value.instance_of?(Object) ? "an Object" : value.inspect
      it "says what #{option} takes where it is given #{shown}, and stays as it was" do
        before = config.public_send(option)
        expect { config.public_send("#{option}=", value) }
          .to raise_error(Poolkeeper::ConfigurationError,
                          /\A#{option}(?:\[.*\])? takes .*#{takes[option]}.*, and was given/)
        expect(config.public_send(option)).to equal(before)
      end
    end
  end

  it "takes leak_threshold = false for none, and whole seconds" do
    [[30, 30.0], [false, nil]].each do |given, kept|
      config.leak_threshold = given
      expect(config.leak_threshold).to eq(kept)
    end
  end

  it "takes loggers of any class, and nil for none" do
    config.logger = logger
    expect(config.logger).to equal(logger)
    config.logger = nil
    expect(config.logger).to be_nil
  end

  it "names the options where one is unknown, whether it is set or read" do
    %i[mod= modes host_monitors= size].each do |name|
      expect { config.public_send(name, 1) }
        .to raise_error(Poolkeeper::ConfigurationError,
                        /no option #{name.to_s.delete("=")}; .*mode, active_record, watch, socket_deadline/)
    end
  end

  it "is a StandardError that a rescue of Poolkeeper::Error catches" do
    expect(Poolkeeper::ConfigurationError.ancestors).to include(Poolkeeper::Error, StandardError)
  end

  it "is given to the block of configure, and answered" do
    given = nil
    expect(Poolkeeper.configure { |c| given = c }).to equal(Poolkeeper.config)
    expect(given).to equal(Poolkeeper.config)
    expect(Poolkeeper.configure).to equal(Poolkeeper.config)
  end

  it "lets the application's own errors out of the block of configure" do
    expect { Poolkeeper.configure { raise KeyError, "ENV" } }.to raise_error(KeyError)
  end

  describe "its logger" do
    it "is Karafka's where Karafka is there and none was chosen" do
      karafka = Module.new { def self.logger = @logger ||= Logger.new(StringIO.new) }
      stub_const("Karafka", karafka)
      expect(config.logger).to equal(karafka.logger)
    end

    it "is standard error's, for warnings only, where Karafka is not there or not set up yet" do
      hide_const("Karafka") if defined?(Karafka)
      expect(config.logger).to be_a(Logger).and have_attributes(level: Logger::WARN)
      stub_const("Karafka", Module.new { def self.logger = raise("not set up") })
      expect(config.logger).to be_a(Logger)
    end

    it "that raises fails nobody's work" do
      logger.define_singleton_method(:warn) { |*| raise IOError, "disk full" }
      Poolkeeper.configure { |c| c.logger = logger }
      expect { Poolkeeper::Log.line(:warn, "x") }.not_to raise_error
    end

    it "is given none of the lines where it is nil" do
      Poolkeeper.configure { |c| c.logger = nil }
      expect { Poolkeeper::Log.line(:error, "x") }.not_to output.to_stderr
    end
  end

  describe "a password", :database do
    # As Rails' database.yml may have it.
    let(:url) { primary.url.sub("@", ":s3cr3t@") }

    before { primary.sql(dialect.password("s3cr3t")) }

    after do
      ActiveRecord::Base.establish_connection(:primary)
      primary.sql(dialect.password(nil))
    end

    it "of a database URL is in no log line, event, error, inspect or statistics" do
      events = Queue.new
      Poolkeeper::Events::LINES.each_key do |name|
        Poolkeeper.events.subscribe(name) { |event| events << event.inspect }
      end
      ActiveRecord::Base.establish_connection(url)
      said = on_thread { everything }
      wait_until { log_text.include?("left open") && events.size.positive? }
      said << Array.new(events.size) { events.pop }.inspect << log_text

      expect(said.join).to include("left open", "127.0.0.1:#{primary.port}")
      expect(said.join).not_to include("s3cr3t")
    end

    # Whatever can be made to say something.
    def everything
      hold.begin_transaction
      said = [Poolkeeper.stats]
      Poolkeeper.release
      said << Poolkeeper.verify(dialect.dead)
      primary.stop
      said.push(*errors, Poolkeeper, Poolkeeper.config, Poolkeeper.events)
      said.map { |object| object.is_a?(Exception) ? object.full_message : object.inspect }
    ensure
      primary.start
    end

    def errors
      down = error_of { Poolkeeper.verify!(timeout: 1) }
      [down, down.cause, error_of { Poolkeeper.verify!(url) }, error_of { config.mode = url }].compact
    end

    def error_of
      yield
      nil
    rescue StandardError => e
      e
    end
  end
end
