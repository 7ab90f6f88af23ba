//! What becomes of the connections of a host that answers nobody.

use std::sync::Arc;
use std::time::Instant;

use super::super::Process;
use crate::event::Notice;
use crate::fault::Fault;
use crate::host::Settings;
use crate::observed::{Condemned, Long, Mirror};
use crate::socket;
use crate::stats::Counter;
use crate::trip;

impl Process {
    /// A host is silent: whoever has waited for it for long gets an error now, and nobody gets what was open before.
    /// `quiet_since` is when the check began that has found it so.
    pub(super) fn silent(&'static self, host: &Arc<str>, first: bool, quiet_since: Instant, settings: &Settings) {
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
            there.for_each(|lease| self.sever(&lease, Some(quiet_since), "its server does not answer"));
        }
        if first && !self.reports_only() {
            self.hosts.raise_epoch(host, now);
            let idle = self.mirror(|mirror| mirror.condemn_before(host, now, Condemned::Silent));
            idle.into_iter().for_each(|connection| self.evict(connection));
        }
    }

    /// Ends what a lease waits for, unless its own socket has said something since. Where its socket is not known nothing
    /// is done by guess: it is asked for, and the next silence finds it.
    pub(super) fn sever(&self, lease: &Long, quiet_since: Option<Instant>, reason: &str) {
        let reported = self.reports_only();
        let ended = self.while_out(lease, |mirror| end(mirror, lease, quiet_since, reported));
        match ended {
            // The host may have answered in this moment, and the connection be another's.
            None | Some(Ended::Left) => {}
            Some(Ended::Unknown) => self.ask_for_socket(lease.connection),
            Some(Ended::First) => self.notify(Notice {
                name: "connection.severed".to_owned(),
                pool: Some(lease.pool),
                host: Some(lease.host.to_string()),
                owner: Some(lease.owner),
                seconds: Some(lease.since.elapsed().as_secs_f64()),
                reason: Some(reason.to_owned()),
                reported,
                ..Notice::default()
            }),
        }
    }

    /// Does something while this very lease is out: it ends under the lock that is held meanwhile.
    fn while_out<T>(&self, lease: &Long, act: impl FnOnce(&mut Mirror) -> T) -> Option<T> {
        let Some(ticket) = lease.ticket else {
            return self.mirror(|mirror| {
                let now = mirror.lease(lease.connection)?;
                (now.owner == lease.owner && now.since == lease.since).then(|| act(mirror))
            });
        };
        let mut natives = self.natives().into_iter();
        let pool = natives.find(|pool| pool.number() == lease.pool)?;
        pool.while_out(lease.connection, ticket, || self.mirror(act))
    }
}

/// What became of an attempt to end what a lease waits for.
enum Ended {
    /// It has ended, for the first time over this socket.
    First,
    /// It has ended before, or its server has spoken to it.
    Left,
    /// Nobody knows its socket.
    Unknown,
}

fn end(mirror: &mut Mirror, lease: &Long, quiet_since: Option<Instant>, reported: bool) -> Ended {
    let Some((descriptor, identity)) = lease.socket else {
        return Ended::Unknown;
    };
    let is_there = socket::identity(descriptor) == Some(identity);
    let spoke = |since: Instant| socket::heard(descriptor).is_some_and(|ago| ago < since.elapsed());
    if is_there && !trip::off("answers") && quiet_since.is_some_and(spoke) {
        return Ended::Left;
    }
    let done = match reported {
        true => is_there,
        false => !trip::off("sever") && socket::sever(descriptor, identity),
    };
    if !done {
        return Ended::Unknown;
    }
    if !reported && mirror.has_socket(lease.connection, Some(identity)) {
        mirror.condemn(lease.connection, Condemned::Silent);
    }
    if !mirror.sever(lease.connection) {
        return Ended::Left;
    }
    mirror.count(lease.pool, Counter::Severed, reported);
    Ended::First
}
