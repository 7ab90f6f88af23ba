//! What becomes of the connections of a host that answers nobody.

use std::sync::Arc;
use std::time::Instant;

use super::super::Process;
use crate::event::Notice;
use crate::fault::Fault;
use crate::host::Settings;
use crate::observed::{Condemned, Long};
use crate::socket;
use crate::stats::Counter;
use crate::trip;

impl Process {
    /// A host is silent: whoever has waited for it for long gets an error now, and nobody gets what was open before.
    pub(super) fn silent(&'static self, host: &Arc<str>, first: bool, settings: &Settings) {
        let now = Instant::now();
        self.open_incident(host, Fault::Unreachable, "it has stopped answering", now);
        if first {
            self.notify(Notice {
                name: "host.silent".to_owned(),
                host: Some(host.to_string()),
                reason: Some(format!("{} questions in a row found no answer", settings.failures)),
                reported: self.reports_only(),
                ..Notice::default()
            });
        }
        if let Some(before) = now.checked_sub(settings.after) {
            let (long, _) = self.long_leases(before);
            let there = long.into_iter().filter(|lease| lease.host == *host);
            there.for_each(|lease| self.sever(&lease, "its server does not answer"));
        }
        if first && !self.reports_only() {
            self.hosts.raise_epoch(host, now);
            let idle = self.mirror(|mirror| mirror.condemn_before(host, now, Condemned::Silent));
            idle.into_iter().for_each(|connection| self.evict(connection));
        }
    }

    /// Ends what a lease waits for. Where its socket is not known nothing is done by guess: it is asked for, and the next
    /// silence finds it.
    pub(super) fn sever(&self, lease: &Long, reason: &str) {
        let reported = self.reports_only();
        // The host may have answered in this moment, and the lease be another's.
        if !self.is_still_out(lease) {
            return;
        }
        let done = match lease.socket {
            Some((descriptor, identity)) if reported => socket::identity(descriptor) == Some(identity),
            Some((descriptor, identity)) => !trip::off("sever") && socket::sever(descriptor, identity),
            None => false,
        };
        if !done {
            self.ask_for_socket(lease.connection);
            return;
        }
        let first = self.mirror(|mirror| {
            let first = mirror.sever(lease.connection);
            if first {
                mirror.count(lease.pool, Counter::Severed, reported);
            }
            let identity = lease.socket.map(|(_, identity)| identity);
            if !reported && mirror.has_socket(lease.connection, identity) {
                mirror.condemn(lease.connection, Condemned::Silent);
            }
            first
        });
        if first {
            self.notify(Notice {
                name: "connection.severed".to_owned(),
                pool: Some(lease.pool),
                host: Some(lease.host.to_string()),
                owner: Some(lease.owner),
                seconds: Some(lease.since.elapsed().as_secs_f64()),
                reason: Some(reason.to_owned()),
                reported,
                ..Notice::default()
            });
        }
    }

    fn is_still_out(&self, lease: &Long) -> bool {
        let observed = self.mirror(|mirror| {
            let now = mirror.lease(lease.connection)?;
            Some(now.owner == lease.owner && now.since == lease.since)
        });
        observed.unwrap_or_else(|| {
            let mut natives = self.natives().into_iter().filter(|pool| pool.number() == lease.pool);
            let held =
                |(connection, owner, _): (u64, u64, Instant)| connection == lease.connection && owner == lease.owner;
            natives.any(|pool| pool.busy_leases().into_iter().any(held))
        })
    }
}
