# frozen_string_literal: true

require_relative "../support/mariadb"
require_relative "at_the_end"

RSpec.describe Support::Mariadb, "at the end", :once do
  let(:failures) do
    { { innodb_page_size: 7 } => /primary did not start: .*innodb_page_size/mi,
      { standby: true, skip_log_bin: true } => /replication did not start: .*binary log/i }
  end

  include_examples "servers at their end"
end
