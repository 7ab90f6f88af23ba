//! What the mirror knows of one connection.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Instant;

use crate::owner::OwnerId;
use crate::socket::Identity;

/// Why a connection is dropped before its next use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condemned {
    /// Its socket hung up.
    HungUp,
    /// An error said that it is dead.
    Failed,
    /// The server behind its address is another than before.
    OldEpoch,
    /// Its server has answered nobody for a while.
    Silent,
}

impl Condemned {
    /// The reason in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Condemned::HungUp => "the server hung up",
            Condemned::Failed => "an error said that it is dead",
            Condemned::OldEpoch => "the server behind its address is another than before",
            Condemned::Silent => "its server did not answer",
        }
    }
}

/// What the pool that owns a connection reads of it without asking anybody: whether it is condemned.
#[derive(Debug, Default)]
pub struct Mark(AtomicBool);

impl Mark {
    /// From now on the connection is condemned.
    pub fn condemn(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it is.
    pub fn is_condemned(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A connection in the hands of an owner.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// Who has it.
    pub owner: OwnerId,
    /// The fiber that took it; 0 where nobody saw it taken.
    pub fiber: u64,
    /// When it was taken.
    pub since: Instant,
    /// Whether nobody saw it taken: it was out already when observing began.
    pub seeded: bool,
    /// Whether a release has left it alone and said so.
    pub kept: bool,
    /// When its owner's side was last asked for the socket that it has.
    pub asked_at: Option<Instant>,
    /// Whether it was reported for its age.
    pub reported: bool,
}

impl Lease {
    /// A lease that begins now.
    pub fn new(owner: OwnerId, fiber: u64) -> Self {
        Lease {
            owner,
            fiber,
            since: Instant::now(),
            seeded: false,
            kept: false,
            asked_at: None,
            reported: false,
        }
    }

    /// A lease that was out already.
    pub fn seeded(owner: OwnerId) -> Self {
        Lease {
            seeded: true,
            ..Lease::new(owner, 0)
        }
    }
}

/// A connection's socket, as last seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Socket {
    /// Which socket it is.
    pub identity: Identity,
    /// The number of its descriptor, which may lead elsewhere by now.
    pub descriptor: RawFd,
    /// The server at its other end.
    pub host: Arc<str>,
    /// Whether the watch has it; else it is looked at when the connection is checked out.
    pub watched: bool,
    /// A moment before which it cannot have been opened, where one is known.
    pub opened_after: Option<Instant>,
    /// When it was first seen: it was opened before.
    pub seen_at: Instant,
}

/// One connection of an observed pool.
#[derive(Debug)]
pub struct Connection {
    /// Its pool.
    pub pool: u64,
    /// Its lease, while it is busy.
    pub lease: Option<Lease>,
    /// Its socket; `None` before one was seen and after it was dropped.
    pub socket: Option<Socket>,
    /// Whether and why it is condemned.
    pub condemned: Option<Condemned>,
    /// Whether it was reported that it would be evicted, by this mark.
    pub reported: bool,
    /// Whether its socket was shut down for its server's silence, or this was reported.
    pub severed: bool,
    /// Where the pool is a native one: what it reads of the connection.
    pub native: Option<Arc<Mark>>,
}

impl Connection {
    /// A connection of which only the pool is known.
    pub fn new(pool: u64) -> Self {
        Connection {
            pool,
            lease: None,
            socket: None,
            condemned: None,
            reported: false,
            severed: false,
            native: None,
        }
    }

    /// Condemns it. Returns whether it was not condemned before.
    pub fn condemn(&mut self, reason: Condemned) -> bool {
        if let Some(mark) = &self.native {
            mark.condemn();
        }
        self.condemned.replace(reason).is_none()
    }
}
