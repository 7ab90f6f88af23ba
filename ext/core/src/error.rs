//! Everything that can go wrong in the core.

/// An error of the core.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused what the watch of the sockets needs.
    #[error("cannot watch sockets: {0}; connections are looked at when they are checked out instead")]
    Watch(#[source] std::io::Error),

    /// The background runtime could not be started.
    #[error("cannot start the background thread: {0}; check the limit on threads (ulimit -u)")]
    Runtime(#[source] std::io::Error),
}
