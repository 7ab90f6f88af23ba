//! The mirror of pools that somebody else owns: who holds which connection, over which socket.
//!
//! It is a cache, never the authority: leases can end without a word (`remove`, a reaped owner, a fork), so what it
//! says is compared with the pool before anybody acts on it. It does no I/O and asks no clock.

mod answer;
mod connection;
mod long;
mod overdue;
mod pool;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;

use crate::owner::{Job, Owner, OwnerId};
use crate::socket::Identity;
use crate::stats::Counter;

pub use answer::{Held, HungUp, Look, Returned};
pub use connection::{Condemned, Connection, Lease, Mark, Socket};
pub use long::Long;
pub use pool::{Description, Pool};

/// Beyond this many owners those that hold nothing are forgotten: threads come and go without a word.
const OWNERS: usize = 1_024;

/// The mirror.
#[derive(Debug, Default)]
pub struct Mirror {
    connections: FxHashMap<u64, Connection>,
    pools: FxHashMap<u64, Pool>,
    owners: FxHashMap<OwnerId, Owner>,
    by_identity: FxHashMap<Identity, u64>,
}

/// The newest number given away. It goes on in a forked child, where the adapters of the parent still carry theirs.
static NEWEST: AtomicU64 = AtomicU64::new(0);

impl Mirror {
    /// Registers a pool, or renews what is known of it.
    pub fn pool(&mut self, number: u64, description: Description) {
        match self.pools.get_mut(&number) {
            Some(pool) => pool.description = description,
            None => {
                self.pools.insert(number, Pool::new(description));
            }
        }
    }

    /// Registers a connection of a pool and gives it its number.
    pub fn enlist(&mut self, pool: u64) -> u64 {
        let number = NEWEST.fetch_add(1, Ordering::Relaxed) + 1;
        self.connections.insert(number, Connection::new(pool));
        number
    }

    /// Registers a connection of a native pool, which is told of its end by the mark.
    pub fn enlist_native(&mut self, pool: u64, mark: Arc<Mark>) -> u64 {
        let number = self.enlist(pool);
        if let Some(entry) = self.connections.get_mut(&number) {
            entry.native = Some(mark);
        }
        number
    }

    /// Whether a connection is of a native pool, and of which.
    pub fn native(&self, connection: u64) -> Option<u64> {
        let entry = self.connections.get(&connection)?;
        entry.native.as_ref().map(|_| entry.pool)
    }

    /// The newest number given away, to be asked for before a walk begins.
    pub fn newest() -> u64 {
        NEWEST.load(Ordering::Relaxed)
    }

    /// A lease begins.
    pub fn checkout(&mut self, connection: u64, lease: Lease) -> Look {
        let Some(entry) = self.connections.get_mut(&connection) else {
            return Look::Unknown;
        };
        let (owner, now) = (lease.owner, lease.since);
        // A lease that ended without a word: its connection has a new owner now.
        if let Some(old) = entry.lease.replace(lease) {
            forget_lease(&mut self.owners, old.owner, connection);
        }
        owner_of(&mut self.owners, owner, now).leases.push(connection);
        match (&entry.condemned, &entry.socket) {
            (Some(_), _) => Look::Condemned,
            (None, Some(socket)) if !socket.watched => Look::Peek,
            _ => Look::Fine,
        }
    }

    /// A lease ends. An unknown connection is ignored.
    pub fn checkin(&mut self, connection: u64) -> Option<Returned> {
        let entry = self.connections.get_mut(&connection)?;
        let lease = entry.lease.take();
        if let Some(lease) = &lease {
            forget_lease(&mut self.owners, lease.owner, connection);
        }
        Some(Returned {
            lease,
            socket: entry.socket.clone(),
            condemned: entry.condemned.is_some(),
        })
    }

    /// Whether a connection's socket is the one that is known.
    pub fn has_socket(&self, connection: u64, identity: Option<Identity>) -> bool {
        let known = self
            .connections
            .get(&connection)
            .and_then(|entry| entry.socket.as_ref());
        known.map(|socket| socket.identity) == identity
    }

    /// A connection's socket is another one than before, or none any more.
    ///
    /// A mark belonged to the old socket and goes with it.
    pub fn socket(&mut self, connection: u64, socket: Option<Socket>) {
        let Some(entry) = self.connections.get_mut(&connection) else {
            return;
        };
        if let Some(old) = entry.socket.take() {
            forget_identity(&mut self.by_identity, old.identity, connection);
        }
        entry.condemned = None;
        entry.reported = false;
        entry.severed = false;
        if let Some(socket) = &socket {
            self.by_identity.insert(socket.identity, connection);
            if let Some(pool) = self.pools.get_mut(&entry.pool) {
                pool.host = socket.host.clone();
            }
        }
        entry.socket = socket;
    }

    /// The watch could not take a connection's socket.
    pub fn unwatched(&mut self, connection: u64) {
        if let Some(socket) = self
            .connections
            .get_mut(&connection)
            .and_then(|entry| entry.socket.as_mut())
        {
            socket.watched = false;
        }
    }

    /// A socket hung up.
    pub fn hung_up(&mut self, identity: Identity) -> Option<HungUp> {
        let connection = *self.by_identity.get(&identity)?;
        let entry = self.connections.get_mut(&connection)?;
        if entry.condemned == Some(Condemned::HungUp) {
            return None;
        }
        entry.condemn(Condemned::HungUp);
        let host = entry.socket.as_ref()?.host.clone();
        let idle = entry.lease.is_none();
        let sockets = self.sockets_of(&host);
        Some(HungUp {
            connection,
            host,
            sockets,
            idle,
        })
    }

    /// The connection that uses a socket.
    pub fn connection_over(&self, identity: Identity) -> Option<u64> {
        self.by_identity.get(&identity).copied()
    }

    /// Condemns a connection. Returns whether it was not condemned before.
    pub fn condemn(&mut self, connection: u64, reason: Condemned) -> bool {
        match self.connections.get_mut(&connection) {
            Some(entry) if entry.condemned.is_none() => entry.condemn(reason),
            _ => false,
        }
    }

    /// Condemns every connection to a host except those of pools that are replicas by configuration.
    pub fn condemn_host(&mut self, host: &str) -> Vec<u64> {
        let mut condemned = Vec::new();
        for (number, entry) in &mut self.connections {
            let replica = self.pools.get(&entry.pool).is_some_and(|pool| pool.description.replica);
            let here = entry.socket.as_ref().is_some_and(|socket| &*socket.host == host);
            if here && !replica && entry.condemned.is_none() {
                entry.condemn(Condemned::OldEpoch);
                condemned.push(*number);
            }
        }
        condemned
    }

    /// What a release of an owner has to look at.
    pub fn held(&mut self, owner: OwnerId, now: Instant) -> Held {
        let owner = owner_of(&mut self.owners, owner, now);
        if owner.walk_is_due(now) {
            return Held::Walk(owner.leases.clone());
        }
        if owner.leases.is_empty() {
            owner.job = None;
            owner.working_since = Some(now);
            return Held::Nothing;
        }
        Held::These(owner.leases.clone())
    }

    /// What an owner holds.
    pub fn leases(&self, owner: OwnerId) -> Vec<u64> {
        self.owners
            .get(&owner)
            .map(|owner| owner.leases.clone())
            .unwrap_or_default()
    }

    /// A release of an owner has ended: its piece of work is over.
    pub fn released(&mut self, owner: OwnerId, now: Instant) {
        if let Some(owner) = self.owners.get_mut(&owner) {
            owner.job = None;
            owner.working_since = Some(now);
        }
    }

    /// An owner begins a job.
    pub fn job(&mut self, owner: OwnerId, job: Job, now: Instant) {
        let owner = owner_of(&mut self.owners, owner, now);
        owner.job = Some(job);
        owner.working_since = Some(now);
    }

    /// An owner begins a piece of work that has no job of its own.
    pub fn begin(&mut self, owner: OwnerId, now: Instant) {
        owner_of(&mut self.owners, owner, now).working_since = Some(now);
    }

    /// The job an owner is on.
    pub fn job_of(&self, owner: OwnerId) -> Option<Job> {
        self.owners.get(&owner).and_then(|owner| owner.job.clone())
    }

    /// Whether a connection was taken before its owner's present piece of work began.
    pub fn from_before(&self, connection: u64) -> bool {
        let Some(lease) = self.lease(connection) else {
            return false;
        };
        let began = self.owners.get(&lease.owner).and_then(|owner| owner.working_since);
        lease.seeded || began.is_some_and(|began| lease.since < began)
    }

    /// A connection's lease.
    pub fn lease(&self, connection: u64) -> Option<&Lease> {
        self.connections.get(&connection)?.lease.as_ref()
    }

    /// Whether and why a connection is condemned.
    pub fn condemned(&self, connection: u64) -> Option<Condemned> {
        self.connections.get(&connection)?.condemned
    }

    /// A connection's pool.
    pub fn pool_of(&self, connection: u64) -> Option<u64> {
        self.connections.get(&connection).map(|entry| entry.pool)
    }

    /// A lease that nobody announced. Returns whether the mirror had missed it.
    pub fn seed(&mut self, connection: u64, lease: Lease) -> bool {
        let known = self.lease(connection).is_some_and(|known| known.owner == lease.owner);
        if !known {
            self.checkout(connection, lease);
        }
        !known
    }

    /// Whether a lease is left alone for the first time: once is enough to report it.
    pub fn keep(&mut self, connection: u64) -> bool {
        let lease = self
            .connections
            .get_mut(&connection)
            .and_then(|entry| entry.lease.as_mut());
        lease.is_some_and(|lease| !std::mem::replace(&mut lease.kept, true))
    }

    /// Whether a condemned connection is reported for the first time, which is often enough.
    pub fn report(&mut self, connection: u64) -> bool {
        let entry = self.connections.get_mut(&connection);
        entry.is_some_and(|entry| entry.condemned.is_some() && !std::mem::replace(&mut entry.reported, true))
    }

    /// A lease ended without a word; its connection may still be in its pool.
    pub fn lease_ended(&mut self, connection: u64) {
        if let Some(lease) = self
            .connections
            .get_mut(&connection)
            .and_then(|entry| entry.lease.take())
        {
            forget_lease(&mut self.owners, lease.owner, connection);
        }
    }

    /// A walk has found a connection with this owner: another one's lease has ended without a word.
    pub fn found_with(&mut self, connection: u64, owner: OwnerId) {
        if self.lease(connection).is_some_and(|lease| lease.owner != owner) {
            self.lease_ended(connection);
        }
    }

    /// A connection has left its pool for good.
    pub fn forget(&mut self, connection: u64) {
        self.lease_ended(connection);
        if let Some(socket) = self.connections.remove(&connection).and_then(|entry| entry.socket) {
            forget_identity(&mut self.by_identity, socket.identity, connection);
        }
    }

    /// A pool is gone for good.
    pub fn forget_pool(&mut self, pool: u64) {
        self.pools.remove(&pool);
    }

    /// Keeps only the connections that a walk has met; one that is newer than the walk's begin is kept too.
    pub fn retain(&mut self, newest: u64, connections: &[u64]) {
        // Native pools know their own.
        let foreign = self.connections.iter().filter(|(_, entry)| entry.native.is_none());
        let gone: Vec<u64> = foreign
            .map(|(number, _)| *number)
            .filter(|number| *number <= newest && !connections.contains(number))
            .collect();
        for connection in gone {
            self.forget(connection);
        }
    }

    /// Counts something for a pool; with `would` for what was only reported.
    pub fn count(&mut self, pool: u64, counter: Counter, would: bool) {
        if let Some(pool) = self.pools.get_mut(&pool) {
            let counters = if would { &mut pool.would } else { &mut pool.counters };
            counters.add(counter);
        }
    }

    /// The pools with their numbers.
    pub fn pools(&self) -> impl Iterator<Item = (u64, &Pool)> {
        self.pools.iter().map(|(number, pool)| (*number, pool))
    }

    /// The connections of a pool with their numbers.
    pub fn connections(&self, pool: u64) -> impl Iterator<Item = (u64, &Connection)> {
        self.connections
            .iter()
            .filter(move |(_, entry)| entry.pool == pool)
            .map(|(number, entry)| (*number, entry))
    }

    /// How many connections and owners are remembered.
    pub fn sizes(&self) -> (usize, usize) {
        (self.connections.len(), self.owners.len())
    }

    fn sockets_of(&self, host: &str) -> usize {
        let to_host = |entry: &&Connection| entry.socket.as_ref().is_some_and(|socket| &*socket.host == host);
        self.connections.values().filter(to_host).count()
    }
}

fn owner_of(owners: &mut FxHashMap<OwnerId, Owner>, owner: OwnerId, now: Instant) -> &mut Owner {
    if owners.len() > OWNERS {
        owners.retain(|_, owner| !owner.leases.is_empty());
    }
    owners.entry(owner).or_insert_with(|| Owner::new(now))
}

/// The same socket may have come under another number since: that one's hang-up is not to be lost.
fn forget_identity(by_identity: &mut FxHashMap<Identity, u64>, identity: Identity, connection: u64) {
    if by_identity.get(&identity) == Some(&connection) {
        by_identity.remove(&identity);
    }
}

fn forget_lease(owners: &mut FxHashMap<OwnerId, Owner>, owner: OwnerId, connection: u64) {
    if let Some(owner) = owners.get_mut(&owner) {
        owner.leases.retain(|held| *held != connection);
    }
}
