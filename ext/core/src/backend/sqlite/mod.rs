//! SQLite: files, and databases that live in memory as long as their pool.
//!
//! A session is a thread of the driver's. Nothing but SQLite's own progress handler can end a statement that runs there,
//! so each session has one.

mod forks;
mod parameters;
mod rows;
mod scan;

use std::borrow::Cow;
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteColumn, SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, Either, Executor, Row, SqlSafeStr, TypeInfo};

use super::url::refuse_unknown;
use super::{Backend, Doing, Failure, Kind, Opened, Session, SessionId, Way};
use crate::lock::lock;
use crate::pool::Options;
use crate::sql::{Rows, Value};
use crate::Error;

/// What a URL may say.
const PARAMETERS: [&str; 4] = ["mode", "cache", "immutable", "vfs"];
/// For so long a statement waits for another one's lock.
const BUSY: Duration = Duration::from_secs(5);
/// So many steps of SQLite's machine lie between two looks at whether to go on: some microseconds.
const STEPS: i32 = 1_000;
/// A change of the journal's mode, which comes with a new file, waits for nobody by itself.
const PAUSE: Duration = Duration::from_millis(10);
const SQLITE_BUSY: i64 = 5;

/// An SQLite database.
#[derive(Debug)]
pub struct Sqlite {
    options: SqliteConnectOptions,
    address: Arc<str>,
    statement_timeout: Option<Duration>,
    /// Without this one, a database in memory would be gone as soon as no connection is open.
    keeper: Option<tokio::sync::Mutex<Option<SqliteConnection>>>,
    read_only: bool,
    last: AtomicU64,
    limits: Mutex<HashMap<u64, Weak<Limits>>>,
    /// One for each session that has the file open.
    open: Arc<()>,
}

/// What the statement under way may do.
#[derive(Debug, Default)]
struct Limits {
    stop: AtomicBool,
    until: Mutex<Option<Instant>>,
    /// Whether SQLite has rolled a transaction back, as it does by itself after some errors.
    rolled_back: AtomicBool,
}

impl Limits {
    fn allow(&self) -> bool {
        !self.stop.load(Ordering::Relaxed) && lock(&self.until).is_none_or(|until| Instant::now() < until)
    }
}

/// A comma may stand in a file's name; a list of hosts with a user or a port before it and a path behind it is none.
fn refuse_hosts(path: &str) -> Result<(), Error> {
    let before_path = path.strip_prefix("//").and_then(|rest| rest.split_once('/'));
    if before_path.is_some_and(|(hosts, _)| hosts.contains(',') && hosts.contains(['@', ':'])) {
        return Err(Error::Configuration(
            "the URL names several hosts, and SQLite is a file; give its path, as in sqlite:storage/events.db"
                .to_owned(),
        ));
    }
    Ok(())
}

impl Sqlite {
    /// `path` is what follows `sqlite:`.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] where it names no file, or holds what SQLite does not take.
    pub fn new(path: &str, options: &Options) -> Result<Self, Error> {
        refuse_hosts(path)?;
        let path = path.strip_prefix("//").unwrap_or(path);
        let (file, query) = path
            .split_once('?')
            .map_or((path, None), |(file, query)| (file, Some(query)));
        refuse_unknown(query, &PARAMETERS)?;
        let given = |name: &str| {
            url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
                .filter(|(key, _)| key == name)
                .last()
                .map(|(_, value)| value)
        };
        let mode = given("mode");
        let in_memory = file == ":memory:" || mode.as_deref() == Some("memory");
        if file.is_empty() && !in_memory {
            return Err(Error::Configuration(
                "the URL names no file; give one as in sqlite:storage/events.db, or sqlite::memory:".to_owned(),
            ));
        }
        if in_memory && given("cache").as_deref() == Some("private") {
            return Err(Error::Configuration(
                "with cache=private each connection of the pool would have a database in memory of its own; leave it out"
                    .to_owned(),
            ));
        }
        let mut connect = SqliteConnectOptions::from_str(&format!("sqlite:{path}"))
            .map_err(|error| Error::Configuration(format!("the URL cannot be used: {}", Failure::from(error))))?
            .busy_timeout(options.statement_timeout.map_or(BUSY, |limit| limit.min(BUSY)))
            .thread_name(|number| format!("pk-sqlite-{number}"))
            .disable_statement_logging();
        let is_fixed = given("immutable").is_some_and(|value| matches!(&*value, "true" | "1"));
        let read_only = mode.as_deref() == Some("ro") || is_fixed;
        if !read_only && !in_memory {
            // Readers and the writer do not wait for each other.
            connect = connect.journal_mode(SqliteJournalMode::Wal);
        }
        if mode.is_none() && !is_fixed {
            connect = connect.create_if_missing(true);
        }
        let address: Cow<'_, str> = if in_memory {
            ":memory:".into()
        } else {
            connect.get_filename().to_string_lossy()
        };
        let address = address.into();
        Ok(Sqlite {
            options: connect,
            address,
            statement_timeout: options.statement_timeout,
            keeper: in_memory.then(tokio::sync::Mutex::default),
            read_only,
            last: AtomicU64::new(0),
            limits: Mutex::default(),
            open: Arc::default(),
        })
    }

    async fn open(&self) -> Result<LiteSession, Failure> {
        if let Some(keeper) = &self.keeper {
            let mut keeper = keeper.lock().await;
            if keeper.is_none() {
                *keeper = Some(SqliteConnection::connect_with(&self.options).await?);
            }
        }
        // What is in memory has no locks on files.
        let listed = match &self.keeper {
            Some(_) => None,
            None => Some((forks::Listed::enter(self.options.get_filename())?, self.open.clone())),
        };
        let mut connection = loop {
            match SqliteConnection::connect_with(&self.options)
                .await
                .map_err(Failure::from)
            {
                Err(failure) if failure.number.is_some_and(|number| number & 0xff == SQLITE_BUSY) => {
                    tokio::time::sleep(PAUSE).await;
                }
                opened => break opened?,
            }
        };
        let limits = Arc::new(Limits::default());
        {
            let mut handle = connection.lock_handle().await?;
            let watching = limits.clone();
            handle.set_progress_handler(STEPS, move || watching.allow());
            let watching = limits.clone();
            handle.set_rollback_hook(move || watching.rolled_back.store(true, Ordering::Relaxed));
            // The driver's thread closes the file when it gets to it, which nobody is told: of what SQLite keeps, its
            // collations are what it drops after that.
            handle.create_collation("poolkeeper_open", move |one, other| {
                let _open = &listed;
                one.cmp(other)
            })?;
        }
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        {
            let mut all = lock(&self.limits);
            all.retain(|_, limits| limits.strong_count() > 0);
            all.insert(id, Arc::downgrade(&limits));
        }
        Ok(LiteSession {
            connection,
            ending: Ending(limits),
            id,
            limit: self.statement_timeout,
            read_only: self.read_only,
            declared: HashMap::new(),
        })
    }
}

impl Backend for Sqlite {
    fn connect(&self, _deadline: tokio::time::Instant) -> Doing<'_, Opened> {
        Box::pin(async {
            Ok(Opened {
                session: Box::new(self.open().await?),
                descriptor: None,
            })
        })
    }

    fn cancel(&self, session: SessionId) -> Doing<'_, ()> {
        Box::pin(async move {
            if let Some(limits) = lock(&self.limits).get(&session.number).and_then(Weak::upgrade) {
                limits.stop.store(true, Ordering::Relaxed);
            }
            Ok(())
        })
    }

    fn address(&self) -> Arc<str> {
        self.address.clone()
    }

    fn open_files(&self) -> usize {
        Arc::strong_count(&self.open) - 1
    }
}

#[derive(Debug)]
struct LiteSession {
    connection: SqliteConnection,
    ending: Ending,
    id: u64,
    limit: Option<Duration>,
    read_only: bool,
    /// The types of columns that had to be asked for, by table and name.
    declared: HashMap<(Arc<str>, Arc<str>), String>,
}

/// Whatever runs on a session that is dropped would run on in its thread.
#[derive(Debug)]
struct Ending(Arc<Limits>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

impl LiteSession {
    /// A cancel that came too late was meant for the statement before.
    fn begin_statement(&self) {
        let limits = &self.ending.0;
        limits.stop.store(false, Ordering::Relaxed);
        limits.rolled_back.store(false, Ordering::Relaxed);
        *lock(&limits.until) = self.limit.map(|limit| Instant::now() + limit);
    }

    async fn run(&mut self, sql: &str, values: Vec<Value>) -> Result<Rows, Failure> {
        let found = scan::scan(sql)?;
        let arguments = parameters::arguments(values, found.parameters)?;
        self.begin_statement();
        let text = AssertSqlSafe(sql.to_owned()).into_sql_str();
        let mut rows = Rows::default();
        let mut columns = Vec::new();
        // Prepared each time, which is cheap without a server: where a column was added meanwhile, the driver's thread
        // panics on a statement that it has kept.
        let query = sqlx::query_with(text, arguments).persistent(false);
        let mut answers = self.connection.fetch_many(query);
        while let Some(answer) = answers.try_next().await? {
            match answer {
                // After a statement that writes nothing, the driver tells the number of the one before.
                Either::Left(done) if found.writes => rows.affected += done.rows_affected(),
                Either::Left(_) => {}
                Either::Right(row) => {
                    if rows.rows.is_empty() {
                        rows.columns = row.columns().iter().map(|column| column.name().to_owned()).collect();
                        columns = row.columns().to_vec();
                    }
                    rows.rows.push(rows::values(&row)?);
                }
            }
        }
        drop(answers);
        for (place, column) in columns.iter().enumerate() {
            if rows.rows.iter().any(|row| matches!(row[place], Value::Text(_))) {
                let declared = self.declared(column).await?;
                rows::understand(&mut rows.rows, place, &declared);
            }
        }
        Ok(rows)
    }

    /// What a column of a table was declared for, where the driver does not know the type: `datetime(6)`.
    async fn declared(&mut self, column: &SqliteColumn) -> Result<String, Failure> {
        let origin = column.origin();
        let (true, Some(source)) = (column.type_info().is_null(), origin.table_column()) else {
            return Ok(String::new());
        };
        let known = (source.table.clone(), source.name.clone());
        if let Some(declared) = self.declared.get(&known) {
            return Ok(declared.clone());
        }
        let (schema, table) = source.table.split_once('.').unwrap_or(("main", &source.table));
        let ask = "SELECT type FROM pragma_table_info(?, ?) WHERE name = ?";
        let asked = sqlx::query(ask).bind(table).bind(schema).bind(&*source.name);
        let row = self.connection.fetch_optional(asked).await?;
        let declared = match row {
            Some(row) => row.try_get_unchecked::<String, _>(0)?,
            None => String::new(),
        };
        self.declared.insert(known, declared.clone());
        Ok(declared)
    }

    async fn execute(&mut self, sql: &str) -> Result<(), Failure> {
        self.begin_statement();
        self.connection
            .execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())))
            .await?;
        Ok(())
    }
}

impl Session for LiteSession {
    fn query<'a>(&'a mut self, sql: &'a str, parameters: Vec<Value>) -> Doing<'a, Rows> {
        Box::pin(self.run(sql, parameters))
    }

    fn command<'a>(&'a mut self, sql: &'a str) -> Doing<'a, ()> {
        // One that has read before it writes is refused the lock at once where another has written meanwhile. One that
        // takes the lock first waits for it.
        let sql = match sql {
            "BEGIN" if !self.read_only => "BEGIN IMMEDIATE",
            sql => sql,
        };
        Box::pin(self.execute(sql))
    }

    fn loses_transaction(&self, _failure: &Failure) -> bool {
        self.ending.0.rolled_back.load(Ordering::Relaxed)
    }

    fn goes_on_without_transaction(&self) -> bool {
        true
    }

    fn reset(&mut self) -> Doing<'_, ()> {
        Box::pin(async {
            match self.execute("ROLLBACK").await {
                // SQLite has rolled it back already, or none was begun.
                Err(failure) if failure.kind == Kind::Answer && failure.text.contains("no transaction is active") => {
                    Ok(())
                }
                result => result,
            }
        })
    }

    fn ping(&mut self) -> Doing<'_, ()> {
        Box::pin(async { Ok(self.connection.ping().await?) })
    }

    fn has_peer(&self) -> bool {
        false
    }

    fn id(&self) -> SessionId {
        SessionId {
            number: self.id,
            server: 0,
            way: Way::default(),
        }
    }

    fn close(self: Box<Self>) -> Doing<'static, ()> {
        let LiteSession { connection, ending, .. } = *self;
        Box::pin(async move {
            let closed = connection.close().await;
            drop(ending);
            Ok(closed?)
        })
    }
}
