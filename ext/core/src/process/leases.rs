//! Leases and sockets: what the callbacks of a foreign pool tell, joined with what the kernel knows.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Instant;

use super::Process;
use crate::event::{Event, Notice};
use crate::host::Incident;
use crate::observed::{Condemned, Lease, Look, Mirror, Returned, Socket};
use crate::owner::OwnerId;
use crate::socket::{self, Identity};

impl Process {
    /// A lease begins, before the connection is used. Hang-ups that have arrived are known when this returns.
    pub fn checkout(&'static self, connection: u64, owner: OwnerId, fiber: u64) -> Look {
        self.collect();
        let look = self.mirror(|mirror| mirror.checkout(connection, Lease::new(owner, fiber)));
        self.lease_begins();
        self.expect_overdue();
        look
    }

    /// A lease that nobody announced. Returns whether the mirror had missed it.
    pub fn seed(&'static self, connection: u64, lease: Lease) -> bool {
        let missed = self.mirror(|mirror| mirror.seed(connection, lease));
        self.lease_begins();
        self.expect_overdue();
        missed
    }

    /// A lease ends; `descriptor` is that of the connection's socket, [`socket::UNTOLD`], or -1 where it is not open.
    pub fn checkin(&'static self, connection: u64, descriptor: RawFd) {
        let now = Instant::now();
        let identity = socket::identity(descriptor);
        let (known, opened_after) = self.mirror(|mirror| known_socket(mirror, connection, identity));
        if !known {
            self.new_socket(connection, descriptor, identity, opened_after);
        }
        let Some(returned) = self.mirror(|mirror| mirror.checkin(connection)) else {
            return;
        };
        if returned.condemned {
            // Nobody had it when its mark came, or its owner just gave it back: the pool is not to keep it.
            self.events.push(Event::Evict(connection));
        } else if self.hosts.any_incident() && (identity.is_some() || may_be_open(descriptor)) {
            // What was never connected, for its server was not there, proves nothing.
            self.evidence(connection, &returned, now);
        }
    }

    /// Looks at a connection's socket now: notes a new one, and tells whether the connection is condemned.
    ///
    /// Its owner calls this, or whoever holds the pool's lock while it is idle: the descriptor has to stay its own.
    pub fn settle(&'static self, connection: u64, descriptor: RawFd) -> Option<Condemned> {
        self.collect();
        if let Some(identity) = socket::identity(descriptor) {
            let (known, opened_after) = self.mirror(|mirror| known_socket(mirror, connection, Some(identity)));
            if !known {
                self.new_socket(connection, descriptor, Some(identity), opened_after);
            }
            if socket::hung_up(descriptor) {
                self.mirror(|mirror| mirror.condemn(connection, Condemned::HungUp));
            }
        }
        self.mirror(|mirror| mirror.condemned(connection))
    }

    /// A connection's socket is about to be closed from this side. What has hung up until now did so by itself; what
    /// hangs up later answers us, and means nothing.
    pub fn dropped(&self, connection: u64) {
        self.collect();
        self.mirror(|mirror| mirror.socket(connection, None));
    }

    pub(super) fn new_socket(
        &'static self,
        connection: u64,
        descriptor: RawFd,
        identity: Option<Identity>,
        opened_after: Option<Instant>,
    ) {
        let Some(identity) = identity else {
            self.mirror(|mirror| mirror.socket(connection, None));
            return;
        };
        self.met(descriptor, true);
        let host = self.host(connection, descriptor);
        // Until now the pool's host was an address out of its configuration, or another server.
        if let Some(known) = self.mirror(|mirror| mirror.host_of(connection)) {
            self.hosts.moved(&known, &host);
        }
        let epoch_raised = self.hosts.epoch(&host).1;
        self.mirror(|mirror| {
            let socket = Socket {
                identity,
                descriptor,
                host,
                watched: true,
                opened_after,
                seen_at: Instant::now(),
            };
            mirror.socket(connection, Some(socket));
            // Whether it was opened before or after the epoch was raised cannot be told: a reconnect too many is
            // harmless, a connection to a demoted server is not.
            let old = opened_after
                .zip(epoch_raised)
                .is_some_and(|(opened, raised)| opened < raised);
            let replica = mirror.pool_of(connection).is_some_and(|pool| mirror.replica(pool));
            if old && !replica {
                mirror.condemn(connection, Condemned::OldEpoch);
            }
        });
        // Only now, so that no hang-up can arrive before its connection can be found.
        if !self.watch(descriptor, identity) {
            self.mirror(|mirror| mirror.unwatched(connection));
        }
        self.collect();
    }

    fn host(&self, connection: u64, descriptor: RawFd) -> Arc<str> {
        let peer = socket::peer(descriptor).map(Arc::from);
        let configured = || self.mirror(|mirror| mirror.host_of(connection));
        peer.or_else(configured).unwrap_or_else(|| Arc::from("unknown"))
    }

    fn evidence(&self, connection: u64, returned: &Returned, now: Instant) {
        let Some(lease) = &returned.lease else {
            return;
        };
        // A driver without a socket has only its pool's host, and time, to tell by.
        let Some(host) = self.mirror(|mirror| mirror.host_of(connection)) else {
            return;
        };
        let opened_after = returned.socket.as_ref().and_then(|socket| socket.opened_after);
        let pool = self.mirror(|mirror| mirror.pool_of(connection));
        self.works(&host, pool, opened_after, lease.since, now);
    }

    /// A connection has come back alive: where that proves that its host works again, the incident is over.
    pub(super) fn works(
        &self,
        host: &str,
        pool: Option<u64>,
        opened_after: Option<Instant>,
        leased_at: Instant,
        now: Instant,
    ) {
        if let Some(incident) = self.hosts.evidence(host, opened_after, leased_at, now) {
            self.incident_closed(host, pool, &incident);
        }
        if let Some(pool) = pool {
            self.mirror(|mirror| mirror.works_at(pool, host));
        }
        if self.hosts.any_incident() {
            let used = self.mirror(|mirror| mirror.hosts());
            for (host, incident) in self.hosts.abandoned(|host| used.contains(host), now) {
                self.incident_closed(&host, None, &incident);
            }
        }
    }

    fn incident_closed(&self, host: &str, pool: Option<u64>, incident: &Incident) {
        self.notify(Notice {
            name: "incident.closed".to_owned(),
            pool,
            host: Some(host.to_owned()),
            seconds: Some(incident.seconds()),
            count: Some(incident.faults),
            ..Notice::default()
        });
    }
}

/// Whether it is open as far as one can tell, where the socket has no identity to tell by.
fn may_be_open(descriptor: RawFd) -> bool {
    descriptor == socket::UNTOLD || socket::peer(descriptor).is_some()
}

/// Whether a connection's socket is known already; and, for one that is not, the moment before which it cannot have been
/// opened: the begin of the lease in which it came up, where somebody saw that begin.
fn known_socket(mirror: &Mirror, connection: u64, identity: Option<Identity>) -> (bool, Option<Instant>) {
    let lease = mirror.lease(connection).filter(|lease| !lease.seeded);
    (mirror.has_socket(connection, identity), lease.map(|lease| lease.since))
}
