//! Looks for a server that will do, among the hosts of a URL and the addresses of each.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::time::Duration;

use tokio::time::{timeout_at, Instant};

use super::host::Host;
use super::refusals::Refusals;
use super::role::Fit;
use super::{Found, Postgres};
use crate::backend::{Failure, Kind, Session};
use crate::socket;

/// One attempt to connect, which may be many.
pub struct Search<'a> {
    postgres: &'a Postgres,
    begun: Instant,
    deadline: Instant,
    refusals: Refusals,
    /// A session to go on with where nothing better is found.
    at_need: Option<Found>,
}

impl<'a> Search<'a> {
    pub fn new(postgres: &'a Postgres, deadline: Instant) -> Self {
        Search {
            postgres,
            begun: Instant::now(),
            deadline,
            refusals: Refusals::default(),
            at_need: None,
        }
    }

    /// The first session with a server that will do. A host that says nothing takes no more than its part of the time.
    pub async fn run(mut self) -> Result<Found, Failure> {
        let hosts = &self.postgres.hosts;
        for (number, host) in hosts.iter().enumerate() {
            // What is kept for need is to be handed out in time.
            let kept = usize::from(self.at_need.is_some());
            let until = share(self.deadline, hosts.len() - number + kept);
            if let Some(found) = self.ask(number, host, until).await {
                part_with(self.at_need, self.deadline).await;
                return Ok(found);
            }
        }
        self.at_need.ok_or_else(|| self.refusals.into_failure())
    }

    async fn ask(&mut self, number: usize, host: &Host, until: Instant) -> Option<Found> {
        let approaches = match self.within(until, host.approaches()).await {
            Ok(approaches) => approaches,
            Err(failure) => {
                self.refusals.add(number, host.address.clone(), failure);
                return None;
            }
        };
        let mut asked: Vec<IpAddr> = Vec::new();
        for (turn, approach) in approaches.iter().enumerate() {
            if approach.address.is_some_and(|address| asked.contains(&address)) {
                continue;
            }
            let until = share(until, approaches.len() - turn);
            let failure = match self.within(until, self.postgres.open(number, approach)).await {
                Ok((found, Fit::Well)) => return Some(found),
                Ok((found, fit)) => {
                    asked.extend(found.1.and_then(address_of));
                    self.pass_over(found, fit, until).await
                }
                Err(failure) => Some(failure),
            };
            let Some(failure) = failure else { continue };
            // A log-in that one address of a host refuses is refused by the others, and some count how often.
            let is_settled = failure.fault_of_connect().is_none();
            self.refusals.add(number, approach.describe(host), failure);
            if is_settled {
                break;
            }
        }
        None
    }

    /// Keeps a session for need, or closes it: then with the reason.
    async fn pass_over(&mut self, found: Found, fit: Fit, until: Instant) -> Option<Failure> {
        if fit == Fit::AtNeed && self.at_need.is_none() {
            self.at_need = Some(found);
            return None;
        }
        part_with(Some(found), until).await;
        match fit {
            Fit::Not(why) => Some(Failure::new(Kind::Role, why)),
            _ => None,
        }
    }

    async fn within<T>(&self, until: Instant, doing: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let has_all = until == self.deadline && self.postgres.hosts.len() == 1;
        let (begun, part) = match has_all {
            true => (self.begun, ""),
            false => (Instant::now(), "its part of "),
        };
        let late = |_| {
            let time = whole_milliseconds(until.saturating_duration_since(begun));
            Err(Failure::new(
                Kind::Late,
                format!("no connection after {time:?} ({part}connect_timeout)"),
            ))
        };
        timeout_at(until, doing).await.unwrap_or_else(late)
    }
}

/// When the next of so many has to have ended, so that each of them has the same part of the time that is left.
fn share(deadline: Instant, of: usize) -> Instant {
    let now = Instant::now();
    let left = deadline.saturating_duration_since(now);
    match u32::try_from(of) {
        Ok(of) if of > 1 => now + left / of,
        _ => deadline,
    }
}

/// A moment passes between the setting of a deadline and its reading.
fn whole_milliseconds(time: Duration) -> Duration {
    Duration::from_millis((time.as_secs_f64() * 1000.0).round() as u64)
}

/// Says goodbye, so that the server's log has no broken connection in it.
async fn part_with(found: Option<Found>, until: Instant) {
    if let Some((session, _)) = found {
        // It writes a word, and waits for no answer.
        let _ = timeout_at(until, session.close()).await;
    }
}

/// The address at the other end of a socket.
pub fn address_of(descriptor: RawFd) -> Option<IpAddr> {
    socket::peer(descriptor)?.parse().ok().map(|peer: SocketAddr| peer.ip())
}
