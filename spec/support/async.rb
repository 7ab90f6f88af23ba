# frozen_string_literal: true

module Support
  # The threads on which ActiveRecord runs queries ahead of time, where it has them.
  module Async
    THREADS = 2
    # Seconds for them to finish what they have.
    PATIENCE = 20

    module_function

    # To be called before the pools are made.
    def prepare
      return unless ::ActiveRecord.respond_to?(:async_query_executor=)

      ::ActiveRecord.async_query_executor = :global_thread_pool
      ::ActiveRecord.global_executor_concurrency = THREADS
    end

    def there?
      ::ActiveRecord::Relation.method_defined?(:load_async)
    end

    # Waits until the executor's threads have given everything back: until each of them has come by here.
    def wait
      executor = ::ActiveRecord.instance_variable_get(:@global_thread_pool_async_query_executor)
      arrived = Queue.new
      leave = Queue.new
      THREADS.times { executor.post { arrive(arrived, leave) } }
      Support.wait_until(timeout: PATIENCE, message: "the executor's threads are done") do
        # A thread that the executor has just tried for its age does not look into the queue before the next task.
        arrived.size == THREADS || (executor.post { nil } && false)
      end
      THREADS.times { leave << true }
    end

    def arrive(arrived, leave)
      arrived << true
      leave.pop
    end
    private_class_method :arrive
  end
end
