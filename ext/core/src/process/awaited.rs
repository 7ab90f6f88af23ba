//! Hosts that somebody waits for: which of them are not known to be up, and what an attempt has found.

use std::sync::Arc;
use std::time::Instant;

use super::repair::{failing, failing_host};
use super::Process;
use crate::fault::Fault;
use crate::observed::{Condemned, Description};
use crate::owner::OwnerId;

impl Process {
    /// The pools of a role (of all, where there is none) whose host has an open incident; for writers also those whose
    /// host has refused a write of late, though readers may have ended the incident since.
    pub fn troubled(&self, role: Option<&str>, writing: bool) -> Vec<u64> {
        let pools: Vec<(u64, [Arc<str>; 2])> = self.mirror(|mirror| {
            let pools = mirror
                .pools()
                .filter(|(_, pool)| wanted(&pool.description, role, writing));
            pools.map(|(number, pool)| (number, pool.names())).collect()
        });
        let now = Instant::now();
        let down = |host: &str| self.hosts.in_incident(host) || (writing && self.hosts.refuses_writes(host, now));
        pools
            .into_iter()
            .filter(|(_, names)| names.iter().any(|name| down(name)))
            .map(|(number, _)| number)
            .collect()
    }

    /// The server that an owner's connection of a pool leads to takes writes, or refuses them. One that refuses is as
    /// good as down for whoever waits to write: the connection is dropped when it comes back, and is evidence of nothing.
    pub fn writes(&self, pool: u64, owner: OwnerId, taken: bool) {
        let native = self.native_pool(pool);
        let host = match &native {
            Some(native) => native.host_of(owner, !taken),
            None => self.mirror(|mirror| failing_host(mirror, pool, owner)),
        };
        let Some(host) = host else {
            return;
        };
        if taken {
            self.hosts.takes_writes(&host);
            return;
        }
        let now = Instant::now();
        self.hosts.refused_write(&host, now);
        if self.hosts.in_incident(&host) {
            self.hosts.fault(&host, Fault::Demoted, now);
        }
        self.mirror(|mirror| {
            failing(mirror, pool, owner).is_some_and(|connection| mirror.condemn(connection, Condemned::OldEpoch))
        });
    }
}

/// Native pools have no role, and may be written to.
fn wanted(pool: &Description, role: Option<&str>, writing: bool) -> bool {
    let of_role = role.is_none_or(|role| pool.role == role || (writing && pool.role.is_empty()));
    of_role && !(writing && pool.replica)
}
