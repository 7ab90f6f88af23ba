//! How many leases there are, as it is read without the pool's lock.

use super::super::sync::{Arc, AtomicUsize, Ordering};

/// Written under the pool's lock only. Whoever holds a lease has been under that lock since it began, so it never reads
/// that there is none.
#[derive(Debug, Clone)]
pub struct LeaseCount(Arc<AtomicUsize>);

impl LeaseCount {
    pub(super) fn new() -> Self {
        LeaseCount(Arc::new(AtomicUsize::new(0)))
    }

    /// Whether nobody has a lease.
    pub fn is_zero(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    pub(super) fn set(&self, count: usize) {
        self.0.store(count, Ordering::Relaxed);
    }
}
