# frozen_string_literal: true

require_relative "../spec_helper"
require_relative "../support/statements"
require_relative "statements_contract"

RSpec.describe "Statements of a native pool" do
  context "on PostgreSQL", :database, :once, only: :postgresql do
    require_relative "../support/statements/postgresql"
    let(:database) { Support::Statements::Postgresql.new(primary) }

    it_behaves_like "statements of a native pool", Support::Statements::Postgresql
  end

  context "on MariaDB", :database, :once, only: :mariadb do
    require_relative "../support/statements/mariadb"
    let(:database) { Support::Statements::Mariadb.new(primary) }

    it_behaves_like "statements of a native pool", Support::Statements::Mariadb
  end

  context "on SQLite", :once, only: :postgresql do
    require_relative "../support/statements/sqlite"
    let(:database) { Support::Statements::Sqlite.new }

    it_behaves_like "statements of a native pool", Support::Statements::Sqlite
  end
end
