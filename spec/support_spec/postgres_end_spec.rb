# frozen_string_literal: true

require_relative "../support/postgres"
require_relative "at_the_end"

RSpec.describe Support::Postgres, "at the end", :once do
  let(:failures) do
    { { shared_buffers: "nonsense" } => /primary did not start: .*shared_buffers/m,
      { standby: true, max_wal_senders: 0 } => /FATAL/ }
  end

  include_examples "servers at their end"
end
