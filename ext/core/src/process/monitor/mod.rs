//! Host monitors: asleep while all leases are short, and at most one a host while they are not.

mod news;
mod question;
mod rounds;
mod silence;
mod watcher;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use super::Process;
use crate::backend::{self, Backend, Followed};
use crate::error::Error;
use crate::event::Event;
use crate::host::{Acquaintance, Settings, Wanted};
use crate::lock::lock;
use crate::observed::Long;
use crate::pool::Options;
use crate::socket;
use crate::watch::runtime::epolls;

/// Credentials that were refused are tried again after this time.
const REFUSAL: Duration = Duration::from_secs(300);
/// Hosts that are remembered; beyond this number those without a monitor are forgotten.
const HOSTS: usize = 256;

/// What the host monitors of one process share.
pub(super) struct Monitors {
    pub(super) wanted: Wanted,
    /// How long the kernel is to wait for a peer that has vanished, in milliseconds; 0: as it likes.
    deadline: AtomicU64,
    /// Whether repairs are only reported.
    reporting: AtomicBool,
    begun: AtomicBool,
    /// Whether the rounds wait for somebody to take a lease, or for their begin.
    asleep: AtomicBool,
    wake: Notify,
    hosts: Mutex<FxHashMap<Arc<str>, Known>>,
    /// The URL of each observed pool.
    credentials: Mutex<FxHashMap<u64, String>>,
}

/// What is remembered of a host from one monitor to the next.
#[derive(Debug, Default)]
struct Known {
    watched: bool,
    /// The pools by whose credentials the host lets nobody in: since when, and why.
    refused: FxHashMap<u64, (Instant, String)>,
    /// Whether it was said that it cannot be watched over.
    told: bool,
    acquaintance: Acquaintance,
}

impl Monitors {
    /// A forked child goes on with its parent's settings.
    pub(super) fn like(inherited: Option<&Monitors>) -> Self {
        let monitors = Monitors {
            wanted: Wanted::default(),
            deadline: AtomicU64::new(0),
            reporting: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            asleep: AtomicBool::new(true),
            wake: Notify::new(),
            hosts: Mutex::default(),
            credentials: Mutex::default(),
        };
        if let Some(inherited) = inherited {
            monitors.wanted.set(inherited.wanted.get());
            let deadline = inherited.deadline.load(Ordering::Relaxed);
            monitors.deadline.store(deadline, Ordering::Relaxed);
            let reporting = inherited.reporting.load(Ordering::Relaxed);
            monitors.reporting.store(reporting, Ordering::Relaxed);
        }
        monitors
    }
}

impl Process {
    /// Changes how hosts are watched over; none: not at all.
    pub fn want_monitors(&'static self, settings: Option<Settings>) {
        self.monitors.wanted.set(settings);
        self.monitors.wake.notify_one();
        // Where they have not begun they do with the next lease, or at once where there has been one.
        let begun = self.monitors.begun.load(Ordering::SeqCst);
        if settings.is_some() && !begun && !self.monitors.asleep.swap(true, Ordering::SeqCst) {
            self.begin_rounds();
        }
    }

    /// Changes how long the kernel waits for a peer that has vanished, for sockets that are seen from now on.
    pub fn want_deadline(&self, deadline: Option<Duration>) {
        let milliseconds = deadline.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1));
        self.monitors.deadline.store(milliseconds, Ordering::Relaxed);
    }

    /// From now on repairs are only reported, or made.
    pub fn report_only(&self, reporting: bool) {
        self.monitors.reporting.store(reporting, Ordering::Relaxed);
    }

    pub(super) fn reports_only(&self) -> bool {
        self.monitors.reporting.load(Ordering::Relaxed)
    }

    /// By what the host monitors of an observed pool's servers go; it is read when it is needed.
    pub fn credentials(&self, pool: u64, url: String) {
        lock(&self.monitors.credentials).insert(pool, url);
        self.forget_refusals(pool);
    }

    /// The descriptors by which the runtime follows its sockets.
    pub(super) fn followed(&self) -> Followed {
        Followed::by(epolls(self.opened.get().map_or(&[], Vec::as_slice)))
    }

    /// A pool is gone for good.
    pub fn forget_credentials(&self, pool: u64) {
        lock(&self.monitors.credentials).remove(&pool);
        self.forget_refusals(pool);
    }

    fn forget_refusals(&self, pool: u64) {
        for known in lock(&self.monitors.hosts).values_mut() {
            known.refused.remove(&pool);
        }
    }

    /// A socket was seen for the first time: it gets its deadline.
    pub(super) fn met(&self, descriptor: std::os::fd::RawFd, keepalive_is_chosen: bool) {
        let deadline = self.monitors.deadline.load(Ordering::Relaxed);
        if deadline > 0 && !crate::trip::off("deadline") {
            socket::deadline::set(descriptor, Duration::from_millis(deadline), keepalive_is_chosen);
        }
    }

    /// A lease begins: whoever looks after long ones is to wake up when there may be one.
    pub(super) fn lease_begins(&'static self) {
        let asleep = &self.monitors.asleep;
        if asleep.load(Ordering::Relaxed) && asleep.swap(false, Ordering::SeqCst) {
            self.begin_rounds();
            self.monitors.wake.notify_one();
        }
    }

    /// The leases from before a moment, of all pools, and the begin of the oldest of the others.
    fn long_leases(&self, before: Instant) -> (Vec<Long>, Option<Instant>) {
        let (mut long, mut next) = self.mirror(|mirror| mirror.long_leases(before));
        for pool in self.natives() {
            for lease in pool.busy_leases() {
                let since = lease.since;
                if since > before {
                    next = Some(next.map_or(since, |next: Instant| next.min(since)));
                } else {
                    let ticket = Some(lease.ticket);
                    long.extend(self.mirror(|mirror| mirror.long(lease.connection, lease.owner, since, ticket)));
                }
            }
        }
        (long, next)
    }

    /// How to ask a host, as one of these pools would.
    ///
    /// # Errors
    ///
    /// In words, where the host lets none of them in, or nobody knows how to ask.
    fn way_to(&self, host: &Arc<str>, leases: &[Long]) -> Result<(u64, Box<dyn Backend>), String> {
        let mut reason = "no pool of it has credentials that a monitor can use".to_owned();
        let known = lock(&self.monitors.hosts).get(host).map(|known| known.refused.clone());
        let refused = known.unwrap_or_default();
        for pool in leases.iter().map(|lease| lease.pool) {
            match refused.get(&pool).filter(|(at, _)| at.elapsed() < REFUSAL) {
                Some((_, refusal)) => reason.clone_from(refusal),
                None => match self.way_of(pool, host) {
                    Ok(Some(backend)) => return Ok((pool, backend)),
                    Ok(None) => {}
                    Err(error) => reason = error.to_string(),
                },
            }
        }
        Err(reason)
    }

    fn way_of(&self, pool: u64, host: &str) -> Result<Option<Box<dyn Backend>>, Error> {
        if let Some(native) = self.natives().into_iter().find(|native| native.number() == pool) {
            return Ok(native.way_to(host));
        }
        let Some(url) = lock(&self.monitors.credentials).get(&pool).cloned() else {
            return Ok(None);
        };
        Ok(backend::of(&url, &Options::of_monitor(), self.followed())?.at(host))
    }

    /// A lease's socket is looked at once more, on behalf of its owner: it was opened in this lease.
    ///
    /// Whoever reads the number of the descriptor may have read it in the middle of a reconnect, so the socket has to lead
    /// to where its pool leads, and to be nobody else's.
    pub fn refresh(&'static self, connection: u64, descriptor: std::os::fd::RawFd) -> bool {
        let (Some(identity), Some(peer)) = (socket::connection(descriptor), socket::peer(descriptor)) else {
            return false;
        };
        let (since, plausible) = self.mirror(|mirror| {
            let other = mirror.connection_over(identity);
            let free = other.is_none_or(|other| other == connection);
            let lease = mirror.lease(connection);
            // Where nobody saw its begin, nobody knows what was opened in it.
            let since = lease.map(|lease| Some(lease.since).filter(|_| !lease.seeded));
            (since, free && mirror.may_lead_to(connection, &peer))
        });
        let Some(since) = since.filter(|_| plausible) else {
            return false;
        };
        if !self.mirror(|mirror| mirror.has_socket(connection, Some(identity))) {
            self.new_socket(connection, descriptor, Some(identity), since);
        }
        self.monitors.wake.notify_one();
        true
    }

    fn ask_for_socket(&self, connection: u64) {
        self.events.push(Event::Refresh(connection));
    }
}
