# frozen_string_literal: true

module Support
  module Faults
    # What became of one process under test: the figures of its run, and what is wrong with them.
    class Verdict
      # Seconds after a server is back in which native pools may still fail at once: their prober asks once a second at
      # least. ActiveRecord connects by itself; after a move, a connection that was being opened is still in its hands.
      GRACE = { "native" => 1.2 }.freeze
      CONNECTING = 0.5
      # Seconds to connect in the job that has met the silence, twice where the first attempt finds nobody.
      RECONNECTING = 2 * CONNECT
      # What a native job says that has waited for a connection for as long as its pool was told to.
      WAITED = /\(connect_timeout\)/
      # Seconds from then to the first success.
      RECOVERY = 1
      # Seconds that nothing but a fault holds a job for.
      HELD = 0.2
      private_constant :HELD, :WAITED

      def self.grace(subject)
        GRACE.fetch(subject.kind, CONNECTING)
      end

      # @return [Array<String>] nothing where all is well
      attr_reader :wrong
      # @return [Integer, nil] connections to the server that is the standby now
      attr_accessor :kept
      # @return [Array(Subject::Figures, Subject::Figures)] before and after
      attr_accessor :resources

      # @param subject [Subject]
      # @param incidents [Array<Incident>]
      # @param fault [Fault]
      # @param rows [Hash{Array(Integer, Integer) => Integer}] worker and number => how often another client counts it
      def initialize(subject, incidents, fault, rows)
        @subject = subject
        @incidents = incidents
        @fault = fault
        @rows = rows
        @jobs = subject.jobs
        # A mix has a hundred thousand of them.
        @failed = @jobs.select { |job| job.outcome == :failed }.group_by(&:worker)
        @grace = self.class.grace(subject)
        @wrong = []
        writes
        failures
        blocks
        recovery
      end

      # Notes what was seen of it elsewhere.
      #
      # @return [void]
      def note(*texts)
        @wrong.concat(texts.flatten)
      end

      # @return [String]
      def to_s
        format("%<jobs>6d jobs, %<flight>3d failed in flight, %<away>4d while away, %<written>2d of them written; " \
               "first success %<first>s s after, longest block %<longest>.2f s; " \
               "connections/threads/descriptors %<resources>s",
               jobs: @jobs.size, flight: @in_flight.size, away: @away.size, written: @written.size,
               first: @first.map { |seconds| seconds ? seconds.round(2) : "never" }.join(" and "), longest: @longest,
               resources: resources.join(" then "))
      end

      # @return [Hash] for whoever measures
      def figures
        { jobs: @jobs.size, in_flight: @in_flight.size, away: @away.size, later: @later.size, kept: kept.to_i,
          **afterwards, **held }
      end

      private

      # Writes that began a while after the last incident.
      def afterwards
        from = @incidents.last.back + CONNECTING
        after = @jobs.select { |job| job.kind == :write && job.began > from }
        { after: after.size, failed_after: after.count { |job| job.outcome == :failed } }
      end

      # How many workers the last incident held fast in a job, each the first time, and for how long at most.
      def held
        from, to = @incidents.last.then { |incident| [incident.struck, incident.back] }
        met = @jobs.select { |job| job.began < to && (job.ended || to) > from + HELD }
        first = met.group_by(&:worker).values.map { |jobs| jobs.min_by(&:began) }
        seconds = first.map { |job| (job.ended || to) - [job.began, from].max }.select { |time| time > HELD }
        { held: seconds.size, freed: seconds.max }
      end

      def writes
        mine = @jobs.select { |job| job.kind == :write }
        by_count = mine.group_by { |job| @rows.fetch([job.worker, job.number], 0) }
        lost = by_count.fetch(0, []).select { |job| job.outcome == :done }
        twice = by_count.reject { |count, _| count < 2 }.values.flatten
        @written = by_count.fetch(1, []).select { |job| job.outcome == :failed }
        said(lost, "confirmed and lost")
        said(twice, "written twice")
        most_per_worker(@written, "failed and written")
      end

      def failures
        failed = @jobs.select { |job| job.outcome == :failed }
        why = failed.group_by { |job| @incidents.filter_map { |one| one.explanation(job, @grace) }.first }
        @in_flight, @away, @later = why.values_at(:in_flight, :away, nil).map(&:to_a)
        said(@later, "failed though nothing explains it")
        most_per_worker(@in_flight, "failed in flight")
        said(@in_flight, "failed in flight") if @fault.victims && @in_flight.size > @fault.victims
      end

      def blocks
        touched = @incidents.flat_map { |incident| @jobs.select { |job| incident.touches?(job) }.product([incident]) }
        @longest = touched.map { |job, _| job.seconds }.max || 0
        # Who waits since one incident may meet the next one while he does.
        limits = touched.group_by(&:first).transform_values do |met|
          met.map { |job, incident| longest(job, incident) + reconnecting(job, incident) }.max
        end
        said(limits.filter_map { |job, limit| job if job.seconds > limit }, "blocked for too long")
      end

      # Whoever is interrupted loses his connection, too, and connects anew. And ActiveRecord cancels the query that was
      # under way: over a connection that libpq waits for as long as the kernel does.
      def longest(job, incident)
        kind = @subject.kind
        limit = incident.longest(job, kind, met_before?(job, incident))
        limit = [limit, CONNECT + 0.5].max if WAITED.match?(job.error.to_s)
        return limit unless @subject.interrupted?

        cancels = kind == "observed" && Dialect.family == :postgresql
        [limit, incident.longest(job, kind, true), (incident.back - incident.struck + 1 if cancels)].compact.max
      end

      # ActiveRecord connects in the job that has met the silence where it has looked at the connection first, and where
      # a Timeout has it roll back.
      def reconnecting(job, incident)
        return 0 unless incident.silent? && @subject.kind == "observed"

        job.connects || @subject.interrupted? ? RECONNECTING : 0
      end

      def met_before?(job, incident)
        @failed.fetch(job.worker, []).any? { |other| incident.touches?(other) && other.ended <= job.began }
      end

      def recovery
        @first = @incidents.map do |incident|
          done = @jobs.select { |job| job.outcome == :done && job.kind == :write && job.ended >= incident.back }
          done.map { |job| job.ended - incident.back }.min
        end
        limit = @grace + RECOVERY + @fault.long.to_f
        late = @first.any? { |seconds| seconds.nil? || seconds > limit }
        note("first success after #{@first.inspect} s") if late
      end

      # One a worker an incident, and one more where a while passes until anybody can know that the server is gone: the
      # next job may be given another connection from before. A worker whose thread was killed has had another since.
      def most_per_worker(jobs, words)
        each = @fault.blocked ? 2 : 1
        jobs.group_by(&:worker).each do |worker, failed|
          limit = (@incidents.size * each) + interruptions(worker)
          said(failed, "#{words} by one worker") if failed.size > limit
        end
      end

      def interruptions(worker)
        @jobs.count { |job| job.worker == worker && job.outcome != :done && job.outcome != :failed }
      end

      def said(jobs, words)
        return if jobs.empty?

        examples = jobs.first(3).map do |job|
          "worker #{job.worker} #{job.kind} #{job.number} from #{at(job.began)} to #{at(job.ended)}: #{job.error}"
        end
        note("#{jobs.size} #{words}: #{examples.join(" | ")}; #{times}")
      end

      def times
        @incidents.map { |one| "struck at 0, gone at #{at(one.gone)}, back at #{at(one.back)}" }.join(", ")
      end

      def at(time)
        time && (time - @incidents.first.struck).round(3)
      end
    end
  end
end
