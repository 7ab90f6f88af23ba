//! PostgreSQL.

mod host;
mod monitor;
mod parameters;
mod refusals;
mod role;
mod rows;
mod search;
mod session;
#[cfg(test)]
mod tests;

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};
use tokio::time::Instant;

use super::url::{refuse_unknown, Url, SEVERAL};
use super::{Backend, Doing, Failure, Followed, Opened, SessionId, Way};
use crate::pool::Options;
use crate::trip;
use crate::Error;

use host::{system, Approach, Host, LookUp};
use role::{Fit, Role, Wanted};
use search::{address_of, Search};
use session::PgSession;

/// Statements that a session keeps prepared.
const STATEMENTS: usize = 256;
/// Which server this is: when it was started, in microseconds.
const SERVER: &str = "(extract(epoch from pg_postmaster_start_time()) * 1000000)::int8";
/// What a server says of its role.
const ROLE: &str = ", pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool";
/// What a URL may say.
const PARAMETERS: [&str; 19] = [
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
    role::PARAMETER,
];
/// What would say of all hosts where they are.
const OF_ONE: [&str; 3] = ["host", "hostaddr", "port"];

/// A PostgreSQL server, or several of which one is to be found.
#[derive(Debug)]
pub struct Postgres {
    hosts: Vec<Host>,
    address: Arc<str>,
    wanted: Wanted,
    /// What every session begins with, in one message.
    greeting: String,
    followed: Followed,
}

/// A session, and its socket's descriptor.
type Found = (Box<PgSession>, Option<RawFd>);

impl Postgres {
    /// # Errors
    ///
    /// [`Error::Configuration`] where the URL holds what PostgreSQL does not take.
    pub fn new(first: &Url, others: &[Url], options: &Options, followed: Followed) -> Result<Self, Error> {
        Self::looking_up(first, others, options, followed, system)
    }

    fn looking_up(
        first: &Url,
        others: &[Url],
        options: &Options,
        followed: Followed,
        look_up: LookUp,
    ) -> Result<Self, Error> {
        refuse_unknown(first.query(), &PARAMETERS)?;
        let wanted = Wanted::of(first.query())?;
        refuse_mixed(first, !others.is_empty())?;
        let urls = std::iter::once(first).chain(others);
        let hosts: Vec<Host> = urls
            .map(|url| Host::new(url, options, look_up))
            .collect::<Result<_, _>>()?;
        let addresses: Vec<&str> = hosts.iter().map(|host| host.address.as_str()).collect();
        let role = match wanted {
            Wanted::Any => "",
            _ => ROLE,
        };
        Ok(Postgres {
            address: addresses.join(",").into(),
            wanted,
            greeting: greeting(options.statement_timeout, role),
            followed,
            hosts,
        })
    }

    /// One attempt to connect to one of the hosts, and whether it is one that will do.
    async fn open(&self, host: usize, approach: &Approach) -> Result<(Found, Fit), Failure> {
        let connecting = PgConnection::connect_with(&approach.options);
        let (opened, descriptor) = self.followed.opened(connecting).await;
        let mut connection = opened?;
        let row = connection
            .fetch_one(sqlx::raw_sql(AssertSqlSafe(self.greeting.clone())))
            .await?;
        let fit = if self.wanted == Wanted::Any || trip::off("role") {
            Fit::Well
        } else {
            self.wanted.fit(Role {
                in_recovery: row.try_get_unchecked(2)?,
                read_only: row.try_get_unchecked(3)?,
            })
        };
        let id = SessionId {
            number: u64::from(row.try_get_unchecked::<i32, _>(0)?.unsigned_abs()),
            server: row.try_get_unchecked::<i64, _>(1)?.unsigned_abs(),
            way: Way {
                host,
                address: approach.address.or_else(|| descriptor.and_then(address_of)),
            },
        };
        Ok(((Box::new(PgSession { connection, id }), descriptor), fit))
    }

    /// Ends what a session is doing, where this is the way to its server. Returns whether it is.
    async fn cancel_over(&self, approach: &Approach, session: SessionId) -> Result<bool, Failure> {
        let mut connection = PgConnection::connect_with(&approach.options).await?;
        let SessionId { number, server, .. } = session;
        let cancel = AssertSqlSafe(format!("SELECT pg_cancel_backend({number}) WHERE {SERVER} = {server}"));
        let row = connection.fetch_optional(sqlx::raw_sql(cancel)).await?;
        connection.close().await?;
        Ok(row.is_some())
    }
}

/// What a session begins with. In the start-up message poolers would refuse the timeout.
fn greeting(statement_timeout: Option<Duration>, role: &str) -> String {
    // 0 would mean none.
    let timeout = statement_timeout.map(|time| format!("SET statement_timeout = {};", time.as_millis().max(1)));
    format!("{}SELECT pg_backend_pid(), {SERVER}{role}", timeout.unwrap_or_default())
}

/// Several hosts are written in one place, each with its port.
fn refuse_mixed(url: &Url, several: bool) -> Result<(), Error> {
    for (name, value) in url.query_pairs() {
        if several && OF_ONE.contains(&&*name) {
            return Err(Error::Configuration(format!(
                "the URL names several hosts, and has the parameter {name} as well, which is for one; leave it out, and \
                 write each host with its port, as in {SEVERAL}"
            )));
        }
        // A comma in a socket's path is a comma.
        if OF_ONE.contains(&&*name) && value.contains(',') && !value.starts_with('/') {
            return Err(Error::Configuration(format!(
                "the parameter {name} in the URL is for one host; write several hosts before the database, as in {SEVERAL}"
            )));
        }
    }
    Ok(())
}

impl Backend for Postgres {
    fn connect(&self, deadline: Instant) -> Doing<'_, Opened> {
        Box::pin(async move {
            let (session, descriptor) = Search::new(self, deadline).run().await?;
            Ok(Opened { session, descriptor })
        })
    }

    fn cancel(&self, session: SessionId) -> Doing<'_, ()> {
        Box::pin(async move {
            let mut outcome = Ok(());
            let way = session.way;
            for approach in self
                .hosts
                .get(way.host)
                .map(|host| host.approaches_back(way.address))
                .unwrap_or_default()
            {
                match self.cancel_over(&approach, session).await {
                    Ok(true) => return Ok(()),
                    // The name leads to another server by now.
                    Ok(false) => {}
                    Err(failure) => outcome = Err(failure),
                }
            }
            outcome
        })
    }

    fn address(&self) -> Arc<str> {
        self.address.clone()
    }

    fn at(&self, host: &str) -> Option<Box<dyn Backend>> {
        Some(Box::new(Postgres {
            hosts: vec![self.hosts.iter().find_map(|configured| configured.at(host))?],
            address: host.into(),
            wanted: Wanted::Any,
            greeting: greeting(None, ""),
            followed: self.followed.clone(),
        }))
    }

    fn is_for_reading(&self) -> bool {
        matches!(self.wanted, Wanted::ReadOnly | Wanted::Standby | Wanted::PreferStandby) && !trip::off("reading")
    }
}
