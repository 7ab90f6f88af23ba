//! On whose behalf a connection is used.

use std::time::Instant;

/// A thread or fiber, by a number that is never used twice (an address is, within seconds).
pub type OwnerId = u64;

/// The work an owner is on, as far as somebody has announced it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// The topic whose messages are worked on.
    pub topic: Option<String>,
    /// The topic's partition.
    pub partition: Option<i64>,
}

/// How often a full walk of the pools checks the mirror for one owner: releases that had something to give back count.
const RELEASES_BETWEEN_WALKS: u32 = 100;
const SECONDS_BETWEEN_WALKS: u64 = 10;

/// What is remembered of an owner.
#[derive(Debug)]
pub struct Owner {
    /// The connections it holds.
    pub leases: Vec<u64>,
    /// Its announced work.
    pub job: Option<Job>,
    /// Since when it is on its present piece of work: a job's start, or its previous release.
    pub working_since: Option<Instant>,
    releases: u32,
    walked_at: Instant,
}

impl Owner {
    /// An owner heard of for the first time.
    pub fn new(now: Instant) -> Self {
        Owner {
            leases: Vec::new(),
            job: None,
            working_since: None,
            releases: 0,
            walked_at: now,
        }
    }

    /// Counts a release, and tells whether this one is to walk the pools in full.
    ///
    /// Where nothing is held only the time counts: a thread that releases all the time and holds nothing would pay more
    /// for its walks than for its releases.
    pub fn walk_is_due(&mut self, now: Instant) -> bool {
        self.releases += u32::from(!self.leases.is_empty());
        let due = self.releases >= RELEASES_BETWEEN_WALKS
            || now.duration_since(self.walked_at).as_secs() >= SECONDS_BETWEEN_WALKS;
        if due {
            self.releases = 0;
            self.walked_at = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_walk_is_due_after_a_hundred_releases_of_something_or_ten_seconds() {
        let start = Instant::now();
        let mut owner = Owner::new(start);
        assert_eq!((1..=200).filter(|_| owner.walk_is_due(start)).count(), 0);
        owner.leases.push(1);
        assert_eq!((1..=200).filter(|_| owner.walk_is_due(start)).count(), 2);
        assert!(owner.walk_is_due(start + Duration::from_secs(10)));
        assert!(!owner.walk_is_due(start + Duration::from_secs(19)));
    }
}
