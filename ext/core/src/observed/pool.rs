//! What the mirror knows of one pool.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::Mirror;
use crate::stats::Counters;

/// How a pool is described by whoever registers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its name in the configuration.
    pub name: String,
    /// Its role, such as `writing`.
    pub role: String,
    /// Its shard.
    pub shard: String,
    /// The address in its configuration: the host until a socket tells better.
    pub address: String,
    /// Whether its configuration calls it a replica.
    pub replica: bool,
}

/// One observed pool.
#[derive(Debug)]
pub struct Pool {
    /// How it was described.
    pub description: Description,
    /// The server its newest socket leads to.
    pub host: Arc<str>,
    /// What was counted for it.
    pub counters: Counters,
    /// The same for what would have been done, where only reports are wanted.
    pub would: Counters,
}

impl Pool {
    /// By what its incidents are known: the server that its newest socket leads to, and the address in its configuration,
    /// which stands for several.
    pub fn names(&self) -> [Arc<str>; 2] {
        [self.host.clone(), Arc::from(self.description.address.as_str())]
    }

    /// A pool nothing is known of but its description.
    pub fn new(description: Description) -> Self {
        Pool {
            host: Arc::from(description.address.as_str()),
            description,
            counters: Counters::default(),
            would: Counters::default(),
        }
    }
}

impl Mirror {
    /// The server a connection, or else its pool, leads to.
    pub fn host_of(&self, connection: u64) -> Option<Arc<str>> {
        let entry = self.connections.get(&connection)?;
        let of_socket = entry.socket.as_ref().map(|socket| socket.host.clone());
        of_socket.or_else(|| self.host_of_pool(entry.pool))
    }

    /// The server a pool leads to.
    pub fn host_of_pool(&self, pool: u64) -> Option<Arc<str>> {
        self.pools.get(&pool).map(|pool| pool.host.clone())
    }

    /// A pool's connection to a server works. Where none leads any more to the one that was met last, which a name may
    /// have led to for a moment too long, it is this one that the pool leads to.
    pub fn works_at(&mut self, pool: u64, host: &str) {
        let Some(known) = self.host_of_pool(pool).filter(|known| **known != *host) else {
            return;
        };
        let entries = self.connections.values().filter(|entry| entry.pool == pool);
        let led_to: FxHashSet<Arc<str>> = entries
            .filter_map(|entry| Some(entry.socket.as_ref()?.host.clone()))
            .collect();
        if let (false, Some(to), Some(pool)) = (led_to.contains(&known), led_to.get(host), self.pools.get_mut(&pool)) {
            pool.host = to.clone();
        }
    }

    /// Whether a pool is a replica by configuration.
    pub fn replica(&self, pool: u64) -> bool {
        self.pools.get(&pool).is_some_and(|pool| pool.description.replica)
    }

    /// The servers that pools lead to, and those that they still have sockets to.
    pub fn hosts(&self) -> FxHashSet<Arc<str>> {
        let of_sockets = self.connections.values().filter_map(|entry| entry.socket.as_ref());
        let of_pools = self.pools.values().flat_map(Pool::names);
        of_pools.chain(of_sockets.map(|socket| socket.host.clone())).collect()
    }
}
