//! Everything that can go wrong in the core.

use std::fmt;
use std::time::Duration;

use crate::backend::Failure;
use crate::fault::Fault;
use crate::pool::Numbers;

/// An error of the core. No message holds a password, or a value that was sent.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused what the watch of the sockets needs.
    #[error("cannot watch sockets: {0}; connections are looked at when they are checked out instead")]
    Watch(String),

    /// The background runtime could not be started.
    #[error("cannot start the background thread: {0}; check the limit on threads (ulimit -u)")]
    Runtime(String),

    /// A pool is not described in a way that can be used.
    #[error("{0}")]
    Configuration(String),

    /// A step took longer than it may.
    #[error("pool {pool}: {step} took longer than {limit:?}; {numbers}{details}")]
    Timeout {
        /// The pool.
        pool: String,
        /// Which step.
        step: Step,
        /// How long it may take.
        limit: Duration,
        /// The pool at that moment.
        numbers: Numbers,
        /// Who holds what, or what to do.
        details: String,
    },

    /// The pool was closed.
    #[error("pool {pool} is closed")]
    Closed {
        /// The pool.
        pool: String,
    },

    /// The server cannot be reached.
    #[error("pool {pool}: {host} is down ({cause}); it is tried again in the background")]
    HostDown {
        /// The pool.
        pool: String,
        /// The configured address.
        host: String,
        /// What the last attempt said.
        cause: Box<Failure>,
    },

    /// A connection could not be had, or broke.
    #[error("pool {pool}: {doing} {host}: {cause}{remedy}")]
    Connection {
        /// The pool.
        pool: String,
        /// The server.
        host: String,
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        cause: Box<Failure>,
        /// What to do.
        remedy: &'static str,
    },

    /// The server takes no writes.
    #[error("pool {pool}: {host} takes no writes ({cause}); its connections are replaced")]
    ReadOnly {
        /// The pool.
        pool: String,
        /// The server.
        host: String,
        /// What it said.
        cause: Box<Failure>,
    },

    /// The server, or the driver, has refused a statement.
    #[error("pool {pool}: {cause}")]
    Query {
        /// The pool.
        pool: String,
        /// What it said.
        cause: Box<Failure>,
    },

    /// A connection was used by somebody who does not hold it.
    #[error("pool {pool}: {0}", how.as_str())]
    NotHeld {
        /// The pool.
        pool: String,
        /// In which way.
        how: Misuse,
    },
}

impl Error {
    /// What it says about the server.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Error::HostDown { .. } => Some(Fault::Unreachable),
            Error::ReadOnly { .. } => Some(Fault::Demoted),
            Error::Connection { cause, doing, .. } if doing.starts_with("cannot") => cause.fault_of_connect(),
            Error::Connection { cause, .. } => cause.fault(),
            _ => None,
        }
    }
}

/// The steps that have limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Waiting for a free connection.
    Wait,
    /// A statement.
    Query,
    /// Waiting for the last connection of a pool that is being closed.
    Drain,
}

impl Step {
    /// The name by which Ruby knows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Wait => "wait",
            Step::Query => "query",
            Step::Drain => "drain",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Step::Wait => "waiting for a connection",
            Step::Query => "a statement",
            Step::Drain => "waiting for all connections to come back",
        })
    }
}

/// In which way a connection was used by somebody who does not hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misuse {
    /// It has gone back, or belongs to another thread.
    Gone,
    /// A statement of the same owner is under way, as in a handler of signals.
    Busy,
    /// It broke earlier in this lease.
    Broken,
    /// The owner waits for a connection already.
    Waiting,
}

impl Misuse {
    fn as_str(self) -> &'static str {
        match self {
            Misuse::Gone => {
                "this connection is not held here: it was given back, belongs to another thread or fiber, or was taken \
                 before a fork; take one with `with` or `lease` where it is used"
            }
            Misuse::Busy => "a statement is still under way on this connection; use one connection for each thread",
            Misuse::Broken => {
                "this connection has broken since it was taken; leave the block, or call release, and take another"
            }
            Misuse::Waiting => {
                "this thread is waiting for a connection already, so it can take none (in a handler of signals?)"
            }
        }
    }
}
