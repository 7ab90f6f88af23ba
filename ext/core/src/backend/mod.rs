//! What a pool asks of a database, whichever it is.

mod descriptor;
mod facts;
mod failure;
mod mysql;
mod postgres;
mod sqlite;
mod times;
mod url;

use std::fmt::Debug;
use std::future::Future;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::sync::Arc;

use tokio::time::Instant;

use crate::pool::Options;
use crate::sql::{Rows, Value};
use crate::Error;

pub use descriptor::Followed;
pub use facts::Facts;
pub use failure::{Failure, Kind};

/// What a backend does takes its time: every caller sets a deadline, at which the future is dropped.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// One database, as its URL names it.
pub trait Backend: Debug + Send + Sync {
    /// Opens a session. The socket is found by what the runtime has open, so this may only be polled on its one thread.
    ///
    /// The deadline is the caller's, who drops the future then; whoever has several servers to try divides the time.
    fn connect(&self, deadline: Instant) -> Doing<'_, Opened>;

    /// Ends what a session is doing, over a connection of its own. It may have ended by itself: then nothing happens, or
    /// the session's next statement is ended, so it is to be pinged before it is used. Behind a balancer that connection
    /// may lead to another server: then nothing happens either.
    fn cancel(&self, session: SessionId) -> Doing<'_, ()>;

    /// Where it is, as configured and without the password: `address:port`, `unix:path`, or a file; several with commas
    /// between them.
    fn address(&self) -> Arc<str>;

    /// The same with one server, at the address its sockets lead to (`address:port`, `unix:path`), for its host monitor;
    /// none where there is no server, or the address is none.
    fn at(&self, _host: &str) -> Option<Box<dyn Backend>> {
        None
    }

    /// Whether its servers are wanted for reading: then a write that one refuses says nothing about it.
    fn is_for_reading(&self) -> bool {
        false
    }

    /// How many sessions have a file open in this process, also of those that are being closed.
    fn open_files(&self) -> usize {
        0
    }
}

/// A session, as another one finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId {
    /// Its number, which its server has given it.
    pub number: u64,
    /// Which server that is: another one may have given the same number to somebody else.
    pub server: u64,
    /// How to reach that server.
    pub way: Way,
}

/// How a server was reached, where there is more than one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Way {
    /// Its place in the list of hosts.
    pub host: usize,
    /// Its address, where that is known: the host's name may have several, and others by now.
    pub address: Option<IpAddr>,
}

/// A session that was just opened.
#[derive(Debug)]
pub struct Opened {
    /// The session itself.
    pub session: Box<dyn Session>,
    /// Its socket's descriptor, where there is one and it was found.
    pub descriptor: Option<RawFd>,
}

/// A session with a database.
pub trait Session: Debug + Send {
    /// Runs one statement and reads all of its rows.
    fn query<'a>(&'a mut self, sql: &'a str, parameters: Vec<Value>) -> Doing<'a, Rows>;

    /// Runs what takes no parameters and answers no rows: BEGIN and its kin.
    fn command<'a>(&'a mut self, sql: &'a str) -> Doing<'a, ()>;

    /// Whether the transaction around a statement is lost with a failure: whatever is asked, it will be rolled back.
    fn loses_transaction(&self, failure: &Failure) -> bool;

    /// Whether a transaction that was lost is over for the server, so that it would run what follows by itself, and keep
    /// it. Else it refuses what follows.
    fn goes_on_without_transaction(&self) -> bool;

    /// Rolls back what is open, whatever that is.
    fn reset(&mut self) -> Doing<'_, ()>;

    /// Asks for a sign of life.
    fn ping(&mut self) -> Doing<'_, ()>;

    /// What the server at this address says of itself.
    fn facts<'a>(&'a mut self, _host: &'a str) -> Doing<'a, Facts> {
        Box::pin(async { Err(Failure::new(Kind::Configuration, "there is no server")) })
    }

    /// Whether there is a server at its other end that could hang up.
    fn has_peer(&self) -> bool;

    /// By what [`Backend::cancel`] knows it.
    fn id(&self) -> SessionId;

    /// Says goodbye and closes.
    fn close(self: Box<Self>) -> Doing<'static, ()>;
}

/// The backend that a URL names.
///
/// # Errors
///
/// [`Error::Configuration`] where the URL is none, or names no database that is known here.
pub fn of(url: &str, options: &Options, followed: Followed) -> Result<Box<dyn Backend>, Error> {
    // A path, and nothing that URLs are made of.
    if let Some(path) = url.strip_prefix("sqlite:") {
        return Ok(Box::new(sqlite::Sqlite::new(path, options)?));
    }
    let (first, others) = url::parse(url)?;
    match first.scheme() {
        "postgres" | "postgresql" => Ok(Box::new(postgres::Postgres::new(&first, &others, options, followed)?)),
        "mysql" | "mariadb" if !others.is_empty() => Err(Error::Configuration(format!(
            "the URL names several hosts, which is for postgres:// only; give {}:// one host: a name, or a proxy, that \
             leads to the server in use",
            first.scheme()
        ))),
        "mysql" | "mariadb" => Ok(Box::new(mysql::MySql::new(&first, options, followed)?)),
        other => Err(Error::Configuration(format!(
            "the URL begins with {other}:; give one that begins with postgres://, mysql://, mariadb:// or sqlite:"
        ))),
    }
}

#[cfg(test)]
pub(crate) mod tests;
