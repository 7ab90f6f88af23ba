//! What the mirror answers to host monitors.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Condemned, Mirror};
use crate::owner::OwnerId;
use crate::socket::Identity;

/// A lease that has become long.
#[derive(Debug, Clone, PartialEq)]
pub struct Long {
    /// Its connection.
    pub connection: u64,
    /// Its pool.
    pub pool: u64,
    /// Who has it.
    pub owner: OwnerId,
    /// Since when.
    pub since: Instant,
    /// The server, as its socket tells it, or else its pool.
    pub host: Arc<str>,
    /// Its socket, with the number of the descriptor; none where nobody has seen one.
    pub socket: Option<(RawFd, Identity)>,
    /// Which lease it is of its native pool's.
    pub ticket: Option<u64>,
}

impl Mirror {
    /// The leases from before a moment, and the begin of the oldest of the others.
    pub fn long_leases(&self, before: Instant) -> (Vec<Long>, Option<Instant>) {
        let (mut long, mut next) = (Vec::new(), None);
        for (number, entry) in &self.connections {
            let Some(lease) = &entry.lease else { continue };
            if lease.since > before {
                next = Some(next.map_or(lease.since, |next: Instant| next.min(lease.since)));
            } else if let Some(found) = self.long(*number, lease.owner, lease.since, None) {
                long.push(found);
            }
        }
        (long, next)
    }

    /// A lease of a connection as a host monitor wants it; the pool of a native one knows its leases.
    pub fn long(&self, connection: u64, owner: OwnerId, since: Instant, ticket: Option<u64>) -> Option<Long> {
        let entry = self.connections.get(&connection)?;
        Some(Long {
            connection,
            pool: entry.pool,
            owner,
            since,
            host: self.host_of(connection)?,
            socket: entry.socket.as_ref().map(|socket| (socket.descriptor, socket.identity)),
            ticket,
        })
    }

    /// Whether this lease's socket is to be asked for, which is not done again within this time.
    pub fn ask(&mut self, connection: u64, within: Duration) -> bool {
        let entry = self.connections.get_mut(&connection);
        let Some(lease) = entry.and_then(|entry| entry.lease.as_mut()) else {
            return false;
        };
        let asks = lease.asked_at.is_none_or(|at| at.elapsed() >= within);
        if asks {
            lease.asked_at = Some(Instant::now());
        }
        asks
    }

    /// Whether a connection is severed for the first time over its present socket.
    pub fn sever(&mut self, connection: u64) -> bool {
        let entry = self.connections.get_mut(&connection);
        entry.is_some_and(|entry| !std::mem::replace(&mut entry.severed, true))
    }

    /// Every known socket to a host.
    pub fn sockets_to(&self, host: &str) -> Vec<(RawFd, Identity)> {
        let sockets = self.connections.values().filter_map(|entry| entry.socket.as_ref());
        let there = sockets.filter(|socket| &*socket.host == host);
        there.map(|socket| (socket.descriptor, socket.identity)).collect()
    }

    /// Whether any pool leads to a host.
    pub fn leads_to(&self, host: &str) -> bool {
        self.pools.values().any(|pool| &*pool.host == host)
    }

    /// Whether a connection's socket was there before a moment.
    pub fn is_from_before(&self, connection: u64, moment: Instant) -> bool {
        let entry = self.connections.get(&connection);
        let socket = entry.and_then(|entry| entry.socket.as_ref());
        socket.is_some_and(|socket| socket.seen_at < moment)
    }

    /// Whether a socket with this peer may be a connection's: that of another kind of server is not.
    pub fn may_lead_to(&self, connection: u64, peer: &str) -> bool {
        let pool = self
            .connections
            .get(&connection)
            .and_then(|entry| self.pools.get(&entry.pool));
        pool.is_some_and(|pool| *pool.host == *peer || is_like(&pool.description.address, peer))
    }

    /// A pool of writers that leads to a host.
    pub fn writers_of(&self, host: &str) -> Option<u64> {
        let mut pools = self.pools.iter();
        let found = pools.find(|(_, pool)| &*pool.host == host && !pool.description.replica);
        found.map(|(number, _)| *number)
    }

    /// Condemns every connection to a host that was there before a moment. Returns the idle ones.
    pub fn condemn_before(&mut self, host: &str, moment: Instant, reason: Condemned) -> Vec<u64> {
        let mut idle = Vec::new();
        for (number, entry) in &mut self.connections {
            let old = |socket: &super::Socket| &*socket.host == host && socket.seen_at < moment;
            if entry.socket.as_ref().is_some_and(old) && entry.condemned.is_none() {
                entry.condemn(reason);
                if entry.lease.is_none() {
                    idle.push(*number);
                }
            }
        }
        idle
    }
}

/// Whether a configured address (a name or a path, or several, perhaps with ports) may stand for a peer.
fn is_like(configured: &str, peer: &str) -> bool {
    if let Some(path) = peer.strip_prefix("unix:") {
        let folder = configured.split(':').next().unwrap_or(configured);
        return configured.starts_with("localhost") || (folder.starts_with('/') && path.starts_with(folder));
    }
    // An address of version 6 ends with no port unless it stands in brackets.
    let bare = configured.matches(':').count() > 1 && !configured.contains(['[', ',']);
    let words = configured.split([':', ',']).filter(|_| !bare);
    let ports: Vec<u16> = words.filter_map(|word| word.parse().ok()).collect();
    let port = peer.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    match ports[..] {
        // PostgreSQL's, MySQL's.
        [] => matches!(port, Some(5432 | 3306)),
        _ => port.is_some_and(|port| ports.contains(&port)),
    }
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn a_socket_of_another_kind_of_server_is_not_taken_for_a_connection() {
        assert!(is_like("db.example:5433", "10.0.0.1:5433") && is_like("db.example", "10.0.0.1:5432"));
        assert!(is_like("::1", "[::1]:5432") && is_like("[::1]:5433", "[::1]:5433"));
        assert!(is_like("a,b:5433,5434", "10.0.0.1:5433") && is_like("a,b:5433,5434", "10.0.0.1:5434"));
        assert!(!is_like("db.example:5433", "10.0.0.1:9092") && !is_like("db.example", "10.0.0.1:9092"));
        assert!(is_like("/run/postgresql:5433", "unix:/run/postgresql/.s.PGSQL.5433"));
        assert!(is_like("localhost", "unix:/run/mysqld/mysqld.sock"));
        assert!(!is_like("db.example:5433", "unix:/run/other.sock") && !is_like("/run/postgresql", "unix:/tmp/x"));
    }
}
