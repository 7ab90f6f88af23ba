//! MySQL and MariaDB.

mod monitor;
mod parameters;
mod rows;

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{TryStream, TryStreamExt};
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlQueryResult, MySqlRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Either, Executor, Row, SqlSafeStr, Statement};
use tokio::time::{timeout, Instant};

use super::url::{refuse_unknown, without_database, Url};
use super::{Backend, Doing, Facts, Failure, Followed, Kind, Opened, Session, SessionId, Way};
use crate::pool::Options;
use crate::sql::{Rows, Value};
use crate::trip;
use crate::Error;

/// Statements that a session keeps prepared.
const STATEMENTS: usize = 256;
/// What a URL may say.
const PARAMETERS: [&str; 13] = [
    "socket",
    "charset",
    "collation",
    "timezone",
    "time-zone",
    "sslmode",
    "ssl-mode",
    "sslca",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
];
/// How long a session may take to prove that nothing of an answer is left in it.
const IN_STEP: Duration = Duration::from_secs(1);
/// The numbers by which sessions have proven it.
static QUESTIONS: AtomicU64 = AtomicU64::new(1_000_000_007);
/// Which server this is. In a cluster `server_id` alone may be the same everywhere.
const SERVER: &str = "CRC32(CONCAT_WS(':', @@hostname, @@port, @@server_id))";
/// The server cannot prepare a statement of this kind.
const UNPREPARABLE: i64 = 1295;
/// A lock was waited for in vain.
const LOCK_WAIT: i64 = 1205;
/// Errors with which InnoDB rolls the whole transaction back: a deadlock, a lock table that is full, and in MariaDB a
/// row that has changed since the transaction's snapshot was taken. Others say so by an SQLSTATE of class 40.
const TRANSACTION_LOST: [i64; 3] = [1020, 1206, 1213];

/// A MySQL or MariaDB server.
#[derive(Debug)]
pub struct MySql {
    options: MySqlConnectOptions,
    address: Arc<str>,
    statement_timeout: Option<Duration>,
    followed: Followed,
}

impl MySql {
    /// The protocol's driver sends no name of the application.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] where the URL holds what MySQL does not take.
    pub fn new(url: &Url, options: &Options, followed: Followed) -> Result<Self, Error> {
        refuse_unknown(url.query(), &PARAMETERS)?;
        let connect = MySqlConnectOptions::from_url(url)
            .map_err(|error| Error::Configuration(format!("the URL cannot be used: {}", Failure::from(error))))?
            .statement_cache_capacity(STATEMENTS)
            // What SQL means is for the server's own settings to say.
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .disable_statement_logging();
        if connect.get_database().is_none() {
            return Err(without_database("mysql://user:password@host:3306/database"));
        }
        let address = match connect.get_socket() {
            Some(path) => format!("unix:{}", path.display()),
            None => format!("{}:{}", connect.get_host(), connect.get_port()),
        };
        Ok(MySql {
            options: connect,
            address: address.into(),
            statement_timeout: options.statement_timeout,
            followed,
        })
    }

    async fn open(&self) -> Result<(MySession, Option<RawFd>), Failure> {
        let (opened, descriptor) = self.followed.opened(MySqlConnection::connect_with(&self.options)).await;
        let mut connection = opened?;
        let row = connection
            .fetch_one(sqlx::raw_sql(AssertSqlSafe(format!(
                "SELECT CONNECTION_ID(), {SERVER}, VERSION()"
            ))))
            .await?;
        let id = SessionId {
            number: row.try_get_unchecked::<u64, _>(0)?,
            server: row.try_get_unchecked::<u64, _>(1)?,
            way: Way::default(),
        };
        if let Some(time) = self.statement_timeout {
            let version = row.try_get_unchecked::<String, _>(2)?;
            let limit = AssertSqlSafe(limit(time, &version));
            connection.execute(sqlx::raw_sql(limit)).await?;
        }
        let session = MySession {
            connection,
            id,
            rolls_back_when_late: false,
        };
        Ok((session, descriptor))
    }
}

/// MariaDB counts in seconds and limits whatever runs; MySQL counts in milliseconds and limits SELECT only.
fn limit(time: Duration, version: &str) -> String {
    match version.contains("MariaDB") {
        true => format!("SET SESSION max_statement_time = {:.6}", time.as_secs_f64()),
        false => format!("SET SESSION max_execution_time = {}", time.as_millis().max(1)),
    }
}

impl Backend for MySql {
    fn connect(&self, _deadline: Instant) -> Doing<'_, Opened> {
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
            let mut connection = MySqlConnection::connect_with(&self.options).await?;
            let ask = AssertSqlSafe(format!("SELECT {SERVER}"));
            let server = connection.fetch_one(sqlx::raw_sql(ask)).await?;
            if server.try_get_unchecked::<u64, _>(0)? == session.server || trip::off("stranger") {
                let cancel = AssertSqlSafe(format!("KILL QUERY {}", session.number));
                connection.execute(sqlx::raw_sql(cancel)).await?;
            }
            connection.close().await?;
            Ok(())
        })
    }

    fn address(&self) -> Arc<str> {
        self.address.clone()
    }

    fn at(&self, host: &str) -> Option<Box<dyn Backend>> {
        Some(Box::new(MySql {
            options: monitor::at(&self.options, host)?,
            address: host.into(),
            statement_timeout: None,
            followed: self.followed.clone(),
        }))
    }
}

#[derive(Debug)]
struct MySession {
    connection: MySqlConnection,
    id: SessionId,
    /// Whether a lock that was waited for in vain has cost the whole transaction, as the server's settings have it.
    rolls_back_when_late: bool,
}

impl MySession {
    async fn run(&mut self, sql: &str, values: Vec<Value>) -> Result<Rows, Failure> {
        let result = self.prepared(sql, values).await;
        match &result {
            Err(failure) if failure.number == Some(LOCK_WAIT) => {
                self.rolls_back_when_late = self.rolls_back_on_timeout().await?;
            }
            Err(failure) if failure.kind == Kind::Value => self.in_step().await?,
            _ => {}
        }
        result
    }

    /// What was found wrong on this side was judged by what the server has said of the statement, and nothing else marks
    /// the end of that: where it was odd, more of it is to come, and would be taken for the answer to whatever is asked
    /// next.
    async fn in_step(&mut self) -> Result<(), Failure> {
        // An answer that nothing else has.
        let number = QUESTIONS.fetch_add(1, Ordering::Relaxed);
        let ask = AssertSqlSafe(format!("SELECT {number}"));
        let answer = match timeout(IN_STEP, self.connection.fetch_one(sqlx::raw_sql(ask))).await {
            Ok(Ok(row)) => row.try_get_unchecked::<u64, _>(0).ok(),
            Ok(Err(sqlx::Error::Database(_))) | Err(_) => None,
            Ok(Err(error)) => return Err(error.into()),
        };
        match answer == Some(number) {
            true => Ok(()),
            false => Err(Failure::new(
                Kind::Protocol,
                "the session is out of step with its server",
            )),
        }
    }

    async fn prepared(&mut self, sql: &str, values: Vec<Value>) -> Result<Rows, Failure> {
        let text = AssertSqlSafe(sql.to_owned()).into_sql_str();
        let statement = match self.connection.prepare(text.clone()).await.map_err(Failure::from) {
            Err(failure) if failure.number == Some(UNPREPARABLE) && values.is_empty() => {
                return read(self.connection.fetch_many(sqlx::raw_sql(text))).await;
            }
            statement => statement?,
        };
        let wanted = match statement.parameters() {
            Some(Either::Right(count)) => count,
            _ => 0,
        };
        let arguments: MySqlArguments = parameters::arguments(values, wanted)?;
        read(self.connection.fetch_many(sqlx::query_with(text, arguments))).await
    }

    async fn rolls_back_on_timeout(&mut self) -> Result<bool, Failure> {
        let show = "SHOW VARIABLES LIKE 'innodb_rollback_on_timeout'";
        let row = self.connection.fetch_optional(sqlx::raw_sql(show)).await?;
        Ok(match row {
            Some(row) => row.try_get_unchecked::<String, _>(1)? == "ON",
            None => false,
        })
    }
}

async fn read(
    mut answers: impl TryStream<Ok = Either<MySqlQueryResult, MySqlRow>, Error = sqlx::Error> + Unpin,
) -> Result<Rows, Failure> {
    let mut rows = Rows::default();
    let mut whole = false;
    let mut unreadable = None;
    while let Some(answer) = answers.try_next().await? {
        match answer {
            Either::Left(done) => {
                rows.affected += done.rows_affected();
                whole = !rows.rows.is_empty();
            }
            // A procedure may answer more than once; other columns would be read by the names of these.
            // ... and what cannot be read is told when the server has said all that it has to say.
            Either::Right(_) if whole || unreadable.is_some() => {}
            Either::Right(row) => {
                if rows.rows.is_empty() {
                    rows.columns = row
                        .columns()
                        .iter()
                        .map(|column| sqlx::Column::name(column).to_owned())
                        .collect();
                }
                match rows::values(&row) {
                    Ok(values) => rows.rows.push(values),
                    Err(failure) => unreadable = Some(failure),
                }
            }
        }
    }
    unreadable.map_or(Ok(rows), Err)
}

impl Session for MySession {
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
        match failure.number {
            Some(LOCK_WAIT) => self.rolls_back_when_late,
            Some(number) if TRANSACTION_LOST.contains(&number) => true,
            _ => {
                failure.kind == Kind::Answer && failure.sqlstate.as_deref().is_some_and(|state| state.starts_with("40"))
            }
        }
    }

    fn goes_on_without_transaction(&self) -> bool {
        true
    }

    fn reset(&mut self) -> Doing<'_, ()> {
        Box::pin(async {
            self.command("ROLLBACK").await?;
            // What else a session may have left to the next: a transaction that each statement begins, and locks.
            self.command("SET autocommit = 1").await?;
            self.command("UNLOCK TABLES").await
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_written_as_each_server_counts() {
        let time = Duration::from_millis(1_500);
        assert_eq!(
            limit(time, "10.11.6-MariaDB-1"),
            "SET SESSION max_statement_time = 1.500000"
        );
        assert_eq!(limit(time, "8.0.39"), "SET SESSION max_execution_time = 1500");
        // 0 would mean none.
        assert_eq!(
            limit(Duration::from_micros(10), "8.0.39"),
            "SET SESSION max_execution_time = 1"
        );
    }
}
