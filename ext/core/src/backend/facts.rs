//! What a server says of itself.

use std::time::Duration;

/// What a server has answered to its host monitor.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Which server it is, whatever its address: two that answer alike are one.
    pub server: String,
    /// For how long it has been running.
    pub up_for: Duration,
    /// Whether it takes no writes from anybody.
    pub read_only: bool,
    /// Whether it says that it is where it was asked, so that nobody stands in between: no pooler, no balancer.
    pub direct: bool,
}
