//! A session with a PostgreSQL server.

use futures_util::TryStreamExt;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Either, Executor, SqlSafeStr, Statement};

use super::{monitor, parameters, rows};
use crate::backend::{Doing, Facts, Failure, Kind, Session, SessionId};
use crate::sql::{listens, Rows, Value};

const TRANSACTION_FAILED: &str = "25P02";

#[derive(Debug)]
pub struct PgSession {
    pub connection: PgConnection,
    pub id: SessionId,
}

impl PgSession {
    /// A table may have changed since its statement was prepared, or somebody has deallocated it, which is to cost nobody
    /// an error.
    async fn run(&mut self, sql: &str, values: Vec<Value>) -> Result<Rows, Failure> {
        if listens(sql) {
            // sqlx takes a notification for the answer to the next statement.
            let text = "LISTEN is not possible here: a connection of a pool is lent to the next, and takes no \
                        notifications; use a connection of its own, as with the pg gem";
            return Err(Failure::new(Kind::Value, text));
        }
        let outdated = match self.once(sql, values.clone()).await {
            // Nothing of it was run.
            Err(failure) if failure.outdated => failure,
            result => return result,
        };
        self.connection.clear_cached_statements().await?;
        match self.once(sql, values).await {
            // In a transaction there is no second attempt.
            Err(failure) if failure.sqlstate.as_deref() == Some(TRANSACTION_FAILED) => Err(outdated),
            result => result,
        }
    }

    async fn once(&mut self, sql: &str, values: Vec<Value>) -> Result<Rows, Failure> {
        let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
        // Described first: the server says what it wants, and each value is written as that. A statement that was
        // prepared for one type and is sent another would be read as that one, in silence.
        let statement = self.connection.prepare(sql.clone()).await?;
        let wanted = match statement.parameters() {
            Some(Either::Left(types)) => types,
            _ => &[],
        };
        let arguments = parameters::arguments(values, wanted)?;
        let mut rows = Rows {
            columns: statement
                .columns()
                .iter()
                .map(|column| sqlx::Column::name(column).to_owned())
                .collect(),
            ..Rows::default()
        };
        let mut answers = self.connection.fetch_many(sqlx::query_with(sql, arguments));
        while let Some(answer) = answers.try_next().await? {
            match answer {
                Either::Left(done) => rows.affected += done.rows_affected(),
                Either::Right(row) => rows.rows.push(rows::values(&row)?),
            }
        }
        Ok(rows)
    }
}

impl Session for PgSession {
    fn query<'a>(&'a mut self, sql: &'a str, parameters: Vec<Value>) -> Doing<'a, Rows> {
        Box::pin(self.run(sql, parameters))
    }

    fn command<'a>(&'a mut self, sql: &'a str) -> Doing<'a, ()> {
        Box::pin(async move {
            self.connection
                .execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())))
                .await?;
            Ok(())
        })
    }

    fn loses_transaction(&self, failure: &Failure) -> bool {
        failure.kind == Kind::Answer
    }

    fn goes_on_without_transaction(&self) -> bool {
        false
    }

    fn reset(&mut self) -> Doing<'_, ()> {
        self.command("ROLLBACK")
    }

    fn ping(&mut self) -> Doing<'_, ()> {
        Box::pin(async { Ok(self.connection.ping().await?) })
    }

    fn facts<'a>(&'a mut self, host: &'a str) -> Doing<'a, Facts> {
        Box::pin(monitor::facts(&mut self.connection, host))
    }

    fn has_peer(&self) -> bool {
        true
    }

    fn id(&self) -> SessionId {
        self.id
    }

    fn close(self: Box<Self>) -> Doing<'static, ()> {
        Box::pin(async move { Ok(self.connection.close().await?) })
    }
}
