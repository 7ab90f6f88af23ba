//! One incident: from the first fault on a host to the first sign that it works again.

use std::time::Instant;

use crate::fault::Fault;

/// What is known of an incident.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// What the first error said.
    pub fault: Fault,
    /// When that was.
    pub opened_at: Instant,
    /// How many faults were counted.
    pub faults: u64,
    /// When the newest one was.
    pub last_fault_at: Instant,
    /// When it ended.
    pub closed_at: Option<Instant>,
}

impl Incident {
    pub(super) fn new(fault: Fault, now: Instant) -> Self {
        Incident {
            fault,
            opened_at: now,
            faults: 1,
            last_fault_at: now,
            closed_at: None,
        }
    }

    pub(super) fn fault_again(&mut self, now: Instant) {
        self.faults += 1;
        self.last_fault_at = now;
    }

    /// How long it lasted.
    pub fn seconds(&self) -> f64 {
        let end = self.closed_at.unwrap_or(self.last_fault_at);
        end.duration_since(self.opened_at).as_secs_f64()
    }
}
