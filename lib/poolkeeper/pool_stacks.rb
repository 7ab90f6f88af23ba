# frozen_string_literal: true

module Poolkeeper
  # Extends a native pool that reports old leases: keeps the stack of each borrower for as long as he has one.
  # A pool that reports none pays nothing for it.
  #
  # By owners, of whom each has one lease at most; so every way in which a lease ends is known here.
  #
  # @api private
  module PoolStacks
    def self.extended(pool)
      pool.instance_variable_set(:@stacks, {})
    end

    def release
      without_stack(Owner.native) { super }
    end

    # @return [Array(Array, Boolean), nil] the stack of an owner that has had its connection for so long, and whether
    #   the owner has ended; nil where that lease is over
    def overdue(owner, seconds)
      return unless _leases.any? { |other, age| other == owner && age >= seconds }

      [@stacks[owner], Owner.gone([owner]).any?]
    end

    # Forgets the stack of an owner that holds nothing (any more).
    def forget_stack(owner)
      @stacks.delete(owner) unless _leases.any? { |other, _| other == owner }
    end

    # In a forked child nothing is held that its parent had.
    def forget_stacks
      @stacks = {}
    end

    # @return [Boolean]
    def stacks?
      true
    end

    private

    def _lease
      connection = super
      owner = Owner.native if connection
      keep(owner) unless owner.nil? || @stacks.key?(owner)
      connection
    end

    def _checkout(owner, for_block)
      slot = super
      keep(owner) if slot && !slot.negative?
      slot
    end

    def _queue(owner, timeout, for_block)
      slot = super
      keep(owner) if slot
      slot
    end

    def _release(owner, by_block)
      without_stack(owner) { super }
    end

    def _reclaim(gone)
      gone.each { |owner| @stacks.delete(owner) }
      super
    end

    def keep(owner)
      # Left by threads that were killed just where they had taken theirs: there are no more leases than connections.
      (@stacks.keys - _owners).each { |ended| @stacks.delete(ended) } if @stacks.size > @connections.size
      @stacks[owner] = Stack.take
    end

    # Forgotten first: an interrupt in between costs the report its stack, and gives no other lease a wrong one.
    def without_stack(owner)
      stack = @stacks.delete(owner)
      ended = yield
      @stacks[owner] = stack if stack && !ended
      ended
    end
  end
end
