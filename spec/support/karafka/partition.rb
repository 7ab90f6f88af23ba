# frozen_string_literal: true

module Support
  # A topic as `job.executor.topic` answers it.
  KarafkaTopic = Struct.new(:name)

  # One message of a partition.
  class KarafkaMessage
    # Its place: the topic's name, the partition's number, the offset.
    attr_reader :topic, :partition, :offset
    # @return [Object]
    attr_reader :payload

    def initialize(topic, partition, offset, payload)
      @topic = topic
      @partition = partition
      @offset = offset
      @payload = payload
    end
  end

  # One assigned partition with its messages, kept in memory: what Kafka, its client and Karafka's coordinator know
  # together. Two offsets make it at-least-once: `position` is where the next fetch reads, `seek_offset` where a
  # failed batch or a new process starts again.
  #
  # @example
  #   Support::KarafkaPartition.new("orders", 0, %w[first second])
  class KarafkaPartition
    # @return [KarafkaTopic]
    attr_reader :topic
    # @return [Integer]
    attr_reader :number
    # @return [Integer] the first offset that is not marked as consumed
    attr_reader :seek_offset
    # @return [Integer] 1 at the first try of a batch, 0 between batches
    attr_reader :attempt
    # @return [Integer] messages handed out more than once so far
    attr_reader :redelivered

    # @param topic [String]
    # @param number [Integer]
    # @param payloads [Array] an offset is the index in it
    def initialize(topic, number, payloads = [])
      @topic = KarafkaTopic.new(topic)
      @number = number
      @payloads = payloads
      @seek_offset = @position = @seen = @attempt = @redelivered = 0
      @resumes_at = nil
    end

    # @param count [Integer]
    # @return [Array<KarafkaMessage>] the next messages; none while the partition is paused
    def fetch(count)
      return [] if paused?

      first = @position
      batch = @payloads[first, count] || []
      @position += batch.size
      @redelivered += [@seen, @position].min - first if first < @seen
      @seen = [@seen, @position].max
      batch.each_with_index.map { |payload, index| KarafkaMessage.new(@topic.name, @number, first + index, payload) }
    end

    # A batch is about to be consumed, for the first time or again.
    def attempted
      @attempt += 1
    end

    # @param message [KarafkaMessage] the last one that need not come again
    def mark_as_consumed(message)
      @seek_offset = message.offset + 1
    end

    # The batch was consumed.
    def succeeded
      @attempt = 0
    end

    # Nothing is fetched for a while, then from the first offset that is not marked.
    #
    # @param seconds [Numeric]
    def pause(seconds)
      rewind
      @resumes_at = now + seconds
    end

    # @return [Boolean]
    def paused?
      !@resumes_at.nil?
    end

    # @return [Boolean] whether a pause has just ended
    def resume
      return false if @resumes_at.nil? || now < @resumes_at

      @resumes_at = nil
      true
    end

    # What a new connection to Kafka does: reads again from what was marked.
    def rewind
      @position = @seek_offset
    end

    # @return [Boolean] whether every message is marked as consumed
    def consumed?
      @seek_offset >= @payloads.size
    end

    private

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
