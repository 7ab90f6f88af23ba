//! The options of a pool. Defaults and the checking of what users write are Ruby's.

use std::time::Duration;

/// What a pool is to be like.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What it is called in messages, events and statistics.
    pub name: String,
    /// The most connections.
    pub size: usize,
    /// Connections that are kept open though nobody uses them.
    pub min: usize,
    /// How long an owner waits for a connection.
    pub checkout_timeout: Duration,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// A connection that was idle for longer is asked for a sign of life before its first statement.
    pub check_idle_after: Duration,
    /// An idle connection is closed after this time, down to `min`.
    pub idle_timeout: Option<Duration>,
    /// A connection is replaced at this age, less up to a fortieth by chance, so that they do not go all at once.
    pub max_lifetime: Option<Duration>,
    /// An idle connection is asked for a sign of life after each such time.
    pub keepalive: Option<Duration>,
    /// How long one statement may take.
    pub statement_timeout: Option<Duration>,
    /// A lease that is older is reported once.
    pub leak_threshold: Option<Duration>,
    /// What the server shows as the client's name.
    pub application_name: Option<String>,
}

impl Options {
    /// What matters of a connection that no pool has: a host monitor's.
    pub fn of_monitor() -> Self {
        Options {
            name: "monitor".to_owned(),
            size: 1,
            min: 0,
            checkout_timeout: Duration::ZERO,
            connect_timeout: Duration::ZERO,
            check_idle_after: Duration::ZERO,
            idle_timeout: None,
            max_lifetime: None,
            keepalive: None,
            statement_timeout: None,
            leak_threshold: None,
            application_name: None,
        }
    }
}
