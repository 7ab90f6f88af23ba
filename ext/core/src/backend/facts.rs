//! What a server says of itself.

use std::time::Duration;

/// What a server has answered to its host monitor.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Which server it is, whatever its address: two that answer alike are one.
    pub server: String,
    /// For how long it has been running; `None` where that cannot be told, or nobody knows whether another server answers
    /// at the same address too.
    pub up_for: Option<Duration>,
    /// When it says that it was started, in its own words: a clock that is set changes them no more.
    pub run: Option<String>,
    /// Whether it takes no writes from anybody.
    pub read_only: bool,
    /// Whether it says that it is where it was asked, so that nobody stands in between: no pooler, no balancer.
    pub direct: bool,
}
