//! What the mirror answers.

use std::sync::Arc;

use super::{Lease, Socket};

/// What a release has to look at.
#[derive(Debug, PartialEq, Eq)]
pub enum Held {
    /// The owner holds nothing.
    Nothing,
    /// The owner holds these connections.
    These(Vec<u64>),
    /// The same, and it is time to walk the pools in full.
    Walk(Vec<u64>),
}

/// What a checkout has to do before the connection is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Nothing.
    Fine,
    /// Drop it: it is condemned.
    Condemned,
    /// Look at the socket, which the watch does not have.
    Peek,
    /// Enlist it: nothing is known of it, or not any more.
    Unknown,
}

/// A hang-up, as the hosts want to know it.
#[derive(Debug, PartialEq)]
pub struct HungUp {
    /// The connection.
    pub connection: u64,
    /// The server that hung up.
    pub host: Arc<str>,
    /// How many sockets to that server were open before.
    pub sockets: usize,
    /// Whether it was idle.
    pub idle: bool,
}

/// What became of a connection that came back.
#[derive(Debug, PartialEq)]
pub struct Returned {
    /// The lease that ended.
    pub lease: Option<Lease>,
    /// Its socket.
    pub socket: Option<Socket>,
    /// Whether it is condemned.
    pub condemned: bool,
}
