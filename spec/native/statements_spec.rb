# frozen_string_literal: true

require_relative "../spec_helper"
require_relative "../support/statements"
require_relative "statements_contract"

RSpec.describe "Statements of a native pool" do
  context "on PostgreSQL", :database, :once, only: :postgresql do
    require_relative "../support/statements/postgresql"
    let(:database) { Support::Statements::Postgresql.new(primary) }

    it_behaves_like "statements of a native pool", Support::Statements::Postgresql

    describe "that were prepared, and then deallocated by the application" do
      let(:pool) { Poolkeeper::Pool.new(primary.url, size: 1) }

      after { pool.close }

      it "cost no error, and are run once" do
        pool.with do |db|
          db.execute("CREATE TEMPORARY SEQUENCE runs")
          count = -> { db.query("SELECT nextval('pg_temp.runs') AS n WHERE 1 = $1", 1) }
          expect(count.call).to eq([{ n: 1 }])
          db.execute("DEALLOCATE ALL")
          expect(count.call).to eq([{ n: 2 }])
        end
      end

      it "cost a transaction, which cannot go on, and nothing after it" do
        ask = ->(db) { db.query("SELECT $1::int4 AS n", 1) }
        pool.with(&ask)
        expect { pool.with { |db| db.transaction { db.execute("DEALLOCATE ALL") && ask.call(db) } } }
          .to raise_error(Poolkeeper::QueryError) { |error| expect(error.sqlstate).to eq("26000") }
        expect(pool.with(&ask)).to eq([{ n: 1 }])
      end

      it "are the application's own where it names them itself: what stands before has run, and does not run again" do
        pool.with do |db|
          db.execute("CREATE TEMPORARY SEQUENCE runs")
          expect { db.execute("DO $$ BEGIN PERFORM nextval('pg_temp.runs'); EXECUTE 'EXECUTE nothing'; END $$") }
            .to raise_error(Poolkeeper::QueryError) { |error| expect(error.sqlstate).to eq("26000") }
          expect(db.query("SELECT last_value AS n FROM pg_temp.runs")).to eq([{ n: 1 }])
        end
      end
    end
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
