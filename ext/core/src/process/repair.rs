//! What an error says about a host, and what follows from it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::Process;
use crate::event::Notice;
use crate::fault::Fault;
use crate::observed::{Condemned, Mirror};
use crate::owner::OwnerId;
use crate::stats::Counter;

/// What became of a fault.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// The pools it concerns.
    pub pools: Vec<u64>,
    /// How many connections it condemned.
    pub condemned: usize,
}

impl Process {
    /// Acts on a fault that an owner met: marks, counts, opens the incident. Sends nothing and touches no socket.
    ///
    /// `pool` is the pool the error named; without it the owner's one and only pool is meant, or none.
    pub fn fault(&self, fault: Fault, pool: Option<u64>, owner: OwnerId) -> Repair {
        self.collect();
        let now = Instant::now();
        let pools = match pool {
            Some(pool) => vec![pool],
            // A connect failed, so what its owner does hold is something else.
            None if fault == Fault::Unreachable => Vec::new(),
            None => self.mirror(|mirror| pools_of(mirror, owner)),
        };
        let [pool] = pools[..] else {
            return Repair { pools, condemned: 0 };
        };
        let condemned = match fault {
            Fault::Dead => {
                self.incident(pool, fault, now);
                self.condemn_failing(pool, owner)
            }
            Fault::Expired => {
                self.mirror(|mirror| mirror.count(pool, Counter::Expired, false));
                self.condemn_failing(pool, owner)
            }
            Fault::Demoted => self.demote(pool, owner, now),
            Fault::Unreachable => {
                self.incident(pool, fault, now);
                0
            }
            // The server lives and says so: nothing to repair.
            _ => 0,
        };
        Repair { pools, condemned }
    }

    /// The same for a connection of a native pool, which knows itself and its server.
    pub(super) fn native_fault(&self, fault: Fault, pool: u64, connection: u64, host: &Arc<str>) {
        let now = Instant::now();
        match fault {
            Fault::Dead => {
                self.open_incident(host, fault, "an error said so", now);
                self.mirror(|mirror| mirror.condemn(connection, Condemned::Failed));
            }
            Fault::Expired => self.mirror(|mirror| mirror.count(pool, Counter::Expired, false)),
            Fault::Demoted => {
                self.demoted(host, pool, None, now);
            }
            Fault::Unreachable | Fault::Overloaded => {}
        }
    }

    pub(super) fn incident(&self, pool: u64, fault: Fault, now: Instant) {
        if let Some(host) = self.mirror(|mirror| mirror.host_of_pool(pool)) {
            self.open_incident(&host, fault, "an error said so", now);
        }
    }

    /// Condemns the connection that failed, where its owner still has it. On short leases it has gone back already; it
    /// is then judged by its own socket, as its siblings are, for it may have been used with success since.
    fn condemn_failing(&self, pool: u64, owner: OwnerId) -> usize {
        self.mirror(|mirror| {
            usize::from(
                failing(mirror, pool, owner).is_some_and(|connection| mirror.condemn(connection, Condemned::Failed)),
            )
        })
    }

    fn demote(&self, pool: u64, owner: OwnerId, now: Instant) -> usize {
        if self.mirror(|mirror| mirror.replica(pool)) {
            return 0;
        }
        let Some(host) = self.mirror(|mirror| failing_host(mirror, pool, owner)) else {
            return 0;
        };
        self.demoted(&host, pool, Some(owner), now)
    }

    /// A host refuses writes: every connection to it is condemned. Returns how many that were.
    pub(super) fn demoted(&self, host: &Arc<str>, pool: u64, owner: Option<OwnerId>, now: Instant) -> usize {
        let epoch = self.hosts.raise_epoch(host, now);
        self.hosts.refused_write(host, now);
        let (condemned, idle) = self.mirror(|mirror| {
            let condemned = mirror.condemn_host(host);
            let idle: Vec<u64> = condemned
                .iter()
                .copied()
                .filter(|number| mirror.lease(*number).is_none())
                .collect();
            (condemned.len(), idle)
        });
        for connection in idle {
            self.evict(connection);
        }
        // Told with the first: where every write fails one by one, so would the log fill.
        if self.open_incident(host, Fault::Demoted, "it refuses writes", now) {
            self.notify(Notice {
                name: "host.demoted".to_owned(),
                pool: Some(pool),
                host: Some(host.to_string()),
                owner,
                count: Some(condemned as u64),
                reason: Some(format!("epoch {epoch}")),
                ..Notice::default()
            });
        }
        condemned
    }

    /// Whether no incident with a recent fault is open on a host that a pool of writers uses.
    pub fn healthy(&self) -> bool {
        if !self.hosts.any_incident() {
            return true;
        }
        let hosts: Vec<Arc<str>> = self.mirror(|mirror| {
            let writing = mirror.pools().filter(|(_, pool)| !pool.description.replica);
            writing.flat_map(|(_, pool)| pool.names()).collect()
        });
        let now = Instant::now();
        !hosts.iter().any(|host| self.hosts.failing(host, now))
    }
}

/// The pools an owner holds connections of.
fn pools_of(mirror: &Mirror, owner: OwnerId) -> Vec<u64> {
    let pools: BTreeSet<u64> = mirror
        .leases(owner)
        .into_iter()
        .filter_map(|connection| mirror.pool_of(connection))
        .collect();
    pools.into_iter().collect()
}

/// The connection of a pool that an owner took last and still has: the one its error is about.
pub(super) fn failing(mirror: &Mirror, pool: u64, owner: OwnerId) -> Option<u64> {
    let held = mirror.leases(owner).into_iter();
    held.rev().find(|connection| mirror.pool_of(*connection) == Some(pool))
}

/// The server that refused: that of the connection the owner holds, else the pool's newest.
pub(super) fn failing_host(mirror: &Mirror, pool: u64, owner: OwnerId) -> Option<Arc<str>> {
    failing(mirror, pool, owner)
        .and_then(|connection| mirror.host_of(connection))
        .or_else(|| mirror.host_of_pool(pool))
}
