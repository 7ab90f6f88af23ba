# frozen_string_literal: true

# A consumer that waits for its database instead of failing one batch after the other; for the application of
# examples/karafka.rb, whose OrdersConsumer this can be.
#
# Without it an outage costs errors and retries: each batch raises, rests, comes again and raises. That is safe, too;
# but each is an error in the log and counts for a dead letter queue, and once the pauses have grown, the longest one is
# what is still waited for when the database is back.
#
# It takes Karafka 2.4 or later.

class PatientConsumer < Karafka::BaseConsumer
  # What says that the database cannot be had, or that its answer did not come. Others are the application's own errors:
  # they are for Karafka's retries, and its dead letter queue.
  AWAY = [ActiveRecord::ConnectionNotEstablished, ActiveRecord::StatementInvalid, Poolkeeper::ConnectionError].freeze

  # Seconds to wait in here. Nothing is polled for a subscription group as long as one of its jobs runs, and its
  # partitions wait for a worker one after the other: 20 partitions on 5 workers take four times this. That and the
  # longest batches have to be well below `max.poll.interval.ms` (5 minutes by default), or Kafka gives the partitions
  # to somebody else, and below `shutdown_timeout` (60 s by default). Meanwhile these workers do nothing else.
  PATIENCE = 5
  # Milliseconds for the partition to rest after that. A partition that is paused is polled for, and stays ours.
  PAUSE = 10_000

  def consume
    # True at once where nothing is known to be wrong. So a batch that comes in the middle of an outage fails nothing.
    return rest unless Poolkeeper.wait_until_up(timeout: PATIENCE, role: :writing)

    # The batch may come again in whole, so what it does twice has to do no harm: see the unique key in karafka.rb.
    handle(messages)
  rescue *AWAY => e
    # Nobody else tells poolkeeper of an error that is rescued in here. nil: it is no fault of a connection.
    raise unless Poolkeeper.verify(e)

    # What this thread holds may be from before: the next batch is to begin anew.
    Poolkeeper.release
    rest
  end

  private

  # Has what is not marked as consumed come again. Nothing is marked after a pause that was asked for, so what follows
  # waits behind it, and the order stays; it counts as no failed attempt.
  def rest
    Karafka.logger.warn("#{topic.name}/#{partition} rests for #{PAUSE / 1_000} s: the database is away")
    pause(coordinator.seek_offset, PAUSE)
  end

  def handle(messages)
    Order.insert_all(messages.map { |message| row(message) }, unique_by: %i[topic partition offset])
  end

  def row(message)
    customer_id, cents = message.payload.values_at("customer_id", "cents")
    { topic: message.topic, partition: message.partition, offset: message.offset, customer_id:, cents: }
  end
end
