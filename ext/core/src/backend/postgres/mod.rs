//! PostgreSQL.

mod monitor;
mod parameters;
mod rows;

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Either, Executor, Row, SqlSafeStr, Statement};

use super::url::{refuse_unknown, without_database, Url};
use super::{Backend, Doing, Facts, Failure, Followed, Kind, Opened, Session, SessionId};
use crate::pool::Options;
use crate::sql::{listens, Rows, Value};
use crate::Error;

/// Statements that a session keeps prepared.
const STATEMENTS: usize = 256;
const TRANSACTION_FAILED: &str = "25P02";
/// Which server this is: when it was started, in microseconds.
const SERVER: &str = "(extract(epoch from pg_postmaster_start_time()) * 1000000)::int8";
/// What a URL may say.
const PARAMETERS: [&str; 18] = [
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "options[",
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
];

/// A PostgreSQL server.
#[derive(Debug)]
pub struct Postgres {
    options: PgConnectOptions,
    address: Arc<str>,
    /// What every session begins with, in one message.
    greeting: String,
    followed: Followed,
}

impl Postgres {
    /// # Errors
    ///
    /// [`Error::Configuration`] where the URL holds what PostgreSQL does not take.
    pub fn new(url: &Url, options: &Options, followed: Followed) -> Result<Self, Error> {
        refuse_unknown(url.query(), &PARAMETERS)?;
        let mut connect = PgConnectOptions::from_url(url)
            .map_err(|error| Error::Configuration(format!("the URL cannot be used: {}", Failure::from(error))))?
            .statement_cache_capacity(STATEMENTS)
            .disable_statement_logging();
        // The server would take the user's name for it. PGDATABASE is as good as the URL.
        if connect.get_database().is_none() {
            return Err(without_database("postgres://user:password@host:5432/database"));
        }
        if let Some(name) = &options.application_name {
            connect = connect.application_name(name);
        }
        let address = match connect.get_socket() {
            Some(folder) => format!("unix:{}/.s.PGSQL.{}", folder.display(), connect.get_port()),
            None => format!("{}:{}", connect.get_host(), connect.get_port()),
        };
        Ok(Postgres {
            options: connect,
            address: address.into(),
            greeting: greeting(options.statement_timeout),
            followed,
        })
    }

    async fn open(&self) -> Result<(PgSession, Option<RawFd>), Failure> {
        let (opened, descriptor) = self.followed.opened(PgConnection::connect_with(&self.options)).await;
        let mut connection = opened?;
        let row = connection
            .fetch_one(sqlx::raw_sql(AssertSqlSafe(self.greeting.clone())))
            .await?;
        let id = SessionId {
            number: u64::from(row.try_get_unchecked::<i32, _>(0)?.unsigned_abs()),
            server: row.try_get_unchecked::<i64, _>(1)?.unsigned_abs(),
        };
        Ok((PgSession { connection, id }, descriptor))
    }
}

/// What a session begins with. In the start-up message poolers would refuse the timeout.
fn greeting(statement_timeout: Option<Duration>) -> String {
    // 0 would mean none.
    let timeout = statement_timeout.map(|time| format!("SET statement_timeout = {};", time.as_millis().max(1)));
    format!("{}SELECT pg_backend_pid(), {SERVER}", timeout.unwrap_or_default())
}

impl Backend for Postgres {
    fn connect(&self) -> Doing<'_, Opened> {
        Box::pin(async {
            let (session, descriptor) = self.open().await?;
            Ok(Opened {
                session: Box::new(session),
                descriptor,
            })
        })
    }

    fn cancel(&self, session: SessionId) -> Doing<'_, ()> {
        Box::pin(async move {
            let mut connection = PgConnection::connect_with(&self.options).await?;
            let SessionId { number, server } = session;
            let cancel = AssertSqlSafe(format!("SELECT pg_cancel_backend({number}) WHERE {SERVER} = {server}"));
            connection.execute(sqlx::raw_sql(cancel)).await?;
            connection.close().await?;
            Ok(())
        })
    }

    fn address(&self) -> Arc<str> {
        self.address.clone()
    }

    fn at(&self, host: &str) -> Option<Box<dyn Backend>> {
        Some(Box::new(Postgres {
            options: monitor::at(&self.options, host)?,
            address: host.into(),
            greeting: greeting(None),
            followed: self.followed.clone(),
        }))
    }
}

#[derive(Debug)]
struct PgSession {
    connection: PgConnection,
    id: SessionId,
}

impl PgSession {
    /// A table may have changed since its statement was prepared, which is to cost nobody an error.
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
        use futures_util::TryStreamExt;
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
