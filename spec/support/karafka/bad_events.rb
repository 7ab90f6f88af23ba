# frozen_string_literal: true

module Support
  # Events and errors as a subscriber may meet them on a bad day. Handlers must survive every one of them.
  module KarafkaBadEvents
    # An event object of which nothing is certain but what a spec gives it.
    class Exotic
      def initialize(id: "worker.completed", payload: nil, &fetch)
        @id = id
        @payload = payload
        @fetch = fetch || ->(key) { @payload.fetch(key) }
      end

      attr_reader :id

      def payload
        @payload.respond_to?(:call) ? @payload.call : @payload
      end

      def [](key)
        @fetch.call(key)
      end
    end

    # Answers nothing at all, not even `nil?` or `respond_to?`.
    class Mute < BasicObject
    end

    # Everything that can be asked of it raises.
    class Rabid < StandardError
      %i[message full_message to_s inspect cause backtrace backtrace_locations detailed_message
         connection_pool sql binds result].each do |name|
        define_method(name) { |*| raise NoMemoryError, "asked for #{name}" }
      end
    end

    module_function

    # @return [Hash{String => Object}] events by what is wrong with them
    def events
      raising = -> { raise Exception, "payload" } # rubocop:disable Lint/RaiseException
      {
        "a nil payload" => Exotic.new,
        "an empty payload" => Exotic.new(payload: {}),
        "a payload of other keys" => Exotic.new(payload: { "job" => 1, time: 0.1 }),
        "a nil job and a nil error" => Exotic.new(payload: { job: nil, error: nil, caller: nil, node: nil }),
        "[] that raises" => Exotic.new(payload: {}) { |_| raise Exception, "fetch" }, # rubocop:disable Lint/RaiseException
        "payload that raises" => Exotic.new(payload: raising, &raising),
        "a payload that is no Hash" => Exotic.new(payload: [:job]),
        "no event" => nil,
        "an event that knows nothing" => Object.new,
        "an event that answers nothing" => Mute.new
      }.merge(jobs.transform_values { |job| Exotic.new(payload: { job:, error: job, caller: job }) })
    end

    # @return [Hash{String => Object}] what may stand under `:job`
    def jobs
      {
        "a job that knows nothing" => Object.new,
        "a job that answers nothing" => Mute.new,
        "a job whose executor raises" => job { raise NotImplementedError, "executor" },
        "a job without a topic" => job { executor(nil, nil) },
        "a topic of odd types" => job { executor(Struct.new(:name).new(Mute.new), 1r) }
      }
    end

    # @return [Hash{String => Object}] what may stand under `:error`, by what is wrong with it
    def errors
      {
        "nil" => nil,
        "no exception" => "PG::ConnectionBad",
        "an object that answers nothing" => Mute.new,
        "a frozen exception" => RuntimeError.new("frozen").freeze,
        "a cause that is a loop" => loop_of_causes(2),
        "a chain of 10,000 causes" => chain_of_causes(10_000),
        "no message" => RuntimeError.new(nil),
        "a message that is no UTF-8" => RuntimeError.new((+"\xFF\x00\xC3").force_encoding("UTF-8")),
        "a message of a megabyte" => RuntimeError.new("x" * (1 << 20)),
        "a backtrace of odd types" => RuntimeError.new("x").tap { |error| error.set_backtrace([]) },
        "no StandardError, and of an anonymous class" => Class.new(ScriptError).new("anonymous"),
        "an exception whose class has no name" => Class.new(RuntimeError) { def self.name = raise("name") }.new,
        "an exception that raises whatever is asked" => Rabid.new,
        "a SystemExit" => SystemExit.new(3),
        "a SystemStackError" => SystemStackError.new
      }
    end

    # @return [Exotic]
    def error_event(error)
      Exotic.new(id: "error.occurred", payload: { error:, type: "consumer.consume.error", caller: Object.new })
    end

    def job(&executor)
      Object.new.tap { |job| job.define_singleton_method(:executor, &executor) }
    end

    def executor(topic, partition)
      Object.new.tap do |executor|
        executor.define_singleton_method(:topic) { topic }
        executor.define_singleton_method(:partition) { partition }
      end
    end

    # Ruby refuses to build a loop out of `raise`; an exception's own `cause` method can.
    def loop_of_causes(size)
      errors = Array.new(size) { |index| RuntimeError.new("loop #{index}") }
      errors.each_with_index do |error, index|
        error.define_singleton_method(:cause) { errors[(index + 1) % size] }
      end
      errors.first
    end

    def chain_of_causes(size)
      (1...size).reduce(RuntimeError.new("root")) do |cause, index|
        RuntimeError.new("link #{index}").tap { |error| error.define_singleton_method(:cause) { cause } }
      end
    end
  end
end
