# frozen_string_literal: true

require "json"

module Demo
  # The 2,000 order messages: a file with one message a line, as a consumer would have got them from Kafka.
  module Orders
    TOPIC = "orders"
    COUNT = 2_000
    PARTITIONS = 8
    CUSTOMERS = 100
    # The same orders in every run, so that two runs differ in nothing but what is shown.
    SEED = 2_000

    module_function

    # @param path [String] the file to write
    # @return [void]
    def write(path)
      random = Random.new(SEED)
      lines = Array.new(COUNT) do |index|
        order = { customer: random.rand(1..CUSTOMERS), cents: random.rand(100..50_000) }
        JSON.generate(partition: index % PARTITIONS, offset: index / PARTITIONS, order:)
      end
      File.write(path, "#{lines.join("\n")}\n")
    end

    # @param path [String]
    # @return [Array<Array<String>>] by partition: the messages' payloads, by offset
    def read(path)
      messages = File.readlines(path).map { |line| JSON.parse(line) }
      by_partition = messages.group_by { |message| message.fetch("partition") }
      Array.new(PARTITIONS) do |partition|
        by_partition.fetch(partition).sort_by { |message| message.fetch("offset") }
                    .map { |message| JSON.generate(message.fetch("order")) }
      end
    end
  end
end
