# frozen_string_literal: true

# Which spec proves which invariant (design, section 11), by which switches it is made to fail, and how.
module Proof
  # `on` names the only family of servers that can tell; without it each of them has to.
  Row = Struct.new(:invariant, :off, :spec, :example, :fails_with, :on) do
    def on?(family)
      on.nil? || on == family
    end
  end

  TABLE = [
    ["1 handlers never raise", "guard", "integration/release_spec", "the checkin callback of one raises",
     /the application's callback/],
    ["2 after release nothing is held", "release", "integration/release_spec", "in every role and shard, in one call",
     /expected: 4\s+got: 0/],
    ["2 what was lent without a word goes back too", "walk", "integration/release_spec", "lent without a word",
     /expected: 101\s+got: 100/],
    ["3 no open transaction is handed on, at release", "discard", "integration/transactions_spec",
     "begun through ActiveRecord and forgotten", /idle_in_transaction|not within|expected: 1\s+got: 0/],
    ["3 ... nor one that only the driver knows", "discard", "integration/transactions_spec",
     "which ActiveRecord does not know", /idle_in_transaction|not within|expected: 1\s+got: 0/, :postgresql],
    ["3 no open transaction is handed on, at checkout", "check_at_checkout", "integration/transactions_spec",
     "is not handed to the next owner (ActiveRecord's own)", /expected: \[200\]\s+got: \[100, 200\]/],
    ["3 ... nor one that only the driver knows", "check_at_checkout", "integration/transactions_spec",
     "is not handed to the next owner (BEGIN)", /expected: \[200\]\s+got: \[100, 200\]/, :postgresql],
    ["4 an announced death is never handed out", "check_at_checkout,eviction", "integration/eviction_spec",
     "are never handed out", /terminating connection|server closed the connection|Lost connection|gone away/],
    ["4 another socket behind the same number", "identity", "integration/eviction_spec",
     "after a reconnect within a lease", /evicted, whichever its number/],
    ["4 ... and after the driver's own reconnect", "identity", "integration/eviction_spec",
     "after the driver reconnected by itself", /evicted, though its number/, :mariadb],
    ["5 no later job fails", "check_at_checkout,eviction", "faults/restart_spec",
     "fails no job that begins after it (update_all)", /expected: \[\]/],
    ["5 raw statements too", "check_at_checkout,eviction", "faults/restart_spec",
     "fails no job that begins after it (execute)", /expected: \[\]/],
    ["5 nobody has to ask", "eviction", "integration/eviction_spec", "at once and with no job involved",
     /all evicted/],
    ["5 other roles of the same worker", "verify", "integration/verify_spec", "stale connections of other roles",
     /undefined method `dropped' for nil|undefined method 'dropped' for nil/],
    ["9 a killed thread's query is nobody else's", "mysql_state", "integration/wrap_spec",
     "killed in the middle of a query gives back", /in use by|is not connected/, :mariadb],
    ["9 ... nor an interrupted one's", "mysql_state", "integration/wrap_spec",
     "interrupted in the middle of a query gives back", /in use by|is not connected/, :mariadb],
    ["7 a demoted primary keeps no connection", "epoch", "integration/verify_spec", "condemns every connection to it",
     /old connections gone|expected.*demoted/m],
    ["11 no error is swallowed", "telling", "integration/release_spec", "the checkin callback of one raises",
     /no log line/],
    ["13 a running block", "rule_block", "integration/transactions_spec",
     "is left alone by a release inside it, nested too", /expected: (0|3)\s+got: [01]/],
    ["13 a block in another fiber", "rule_fiber", "integration/transactions_spec",
     "by a release in another fiber of the thread", /expected: (0|2)\s+got: 1/],
    ["13 a fixture", "rule_fixture", "integration/transactions_spec", "its transaction may not be joined",
     /expected: 0\s+got: 1/],
    ["13 a borrowed connection", "rule_lent", "integration/wrap_spec", "a block that has borrowed a connection",
     /expected not|equal/],
    ["13 a raw checkout from before", "rule_raw_checkout", "integration/release_spec",
     "stays where it was taken before", /expected|Cannot expire/],
    ["13 another owner's lease", "idle_only", "integration/eviction_spec", "stay where another owner has them",
     /expected|Error/],
    ["13 readable is not dead", "hang_ups_only", "integration/eviction_spec", "changed setting or a notice",
     /expected: 0\s+got: 5/, :postgresql],
    ["13 the application's own goodbye", "farewell", "integration/eviction_spec", "though the server be faster",
     /expected .*condemned/],
    ["13 a replica that refuses writes", "rule_replica", "integration/verify_spec", "replica by configuration",
     /condemned|dropped/],
    ["13 a connection limit reached", "exclusions", "integration/verify_spec", "where the server is only full",
     /overloaded/],
    ["13 an exhausted pool", "exclusions", "integration/verify_spec", "where the pool is exhausted",
     /expected: nil|expected nil|to be nil/]
  ].map { |row| Row.new(*row) }.freeze
end
