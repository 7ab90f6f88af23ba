//! Leases that are older than they are to be.

use std::time::{Duration, Instant};

use super::Mirror;
use crate::event::Overdue;

impl Mirror {
    /// The leases that are older than this and were not reported yet: reported from now on. And when the next one will
    /// be, if any lease is out.
    pub fn overdue(&mut self, threshold: Duration, now: Instant) -> (Vec<Overdue>, Option<Instant>) {
        let (mut overdue, mut next) = (Vec::new(), None);
        for (number, entry) in &mut self.connections {
            let Some(lease) = entry.lease.as_mut().filter(|lease| !lease.reported) else {
                continue;
            };
            match lease.since.checked_add(threshold) {
                Some(due) if due <= now => {
                    lease.reported = true;
                    overdue.push(Overdue {
                        pool: entry.pool,
                        connection: Some(*number),
                        owner: lease.owner,
                        seconds: now.duration_since(lease.since).as_secs_f64(),
                    });
                }
                Some(due) => next = Some(next.map_or(due, |next: Instant| next.min(due))),
                // Beyond all time.
                None => {}
            }
        }
        (overdue, next)
    }
}
