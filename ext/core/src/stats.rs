//! Counts that only ever grow.

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Leases given back on behalf of their owner.
    Released,
    /// Connections dropped because their owner had left a transaction open.
    Discarded,
    /// Idle condemned connections that left their pool.
    Evicted,
    /// Condemned connections that were replaced before their next use.
    Dropped,
    /// Connections whose socket was shut down, for their server was silent.
    Severed,
    /// Connections ended by the server's own idle limits.
    Expired,
    /// Open transactions that nobody owned any more.
    Leaked,
    /// Leases left alone because a transaction block or a raw checkout still owned them.
    Kept,
    /// Leases that the mirror did not know of.
    MirrorMisses,
}

impl Counter {
    /// Every counter, in the order of [`Counters::values`].
    pub const ALL: [Counter; 9] = [
        Counter::Released,
        Counter::Discarded,
        Counter::Evicted,
        Counter::Dropped,
        Counter::Severed,
        Counter::Expired,
        Counter::Leaked,
        Counter::Kept,
        Counter::MirrorMisses,
    ];

    /// The name as Ruby shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Counter::Released => "released",
            Counter::Discarded => "discarded",
            Counter::Evicted => "evicted",
            Counter::Dropped => "dropped",
            Counter::Severed => "severed",
            Counter::Expired => "expired",
            Counter::Leaked => "leaked",
            Counter::Kept => "kept",
            Counter::MirrorMisses => "mirror_misses",
        }
    }

    /// The counter with a name.
    pub fn named(name: &str) -> Option<Counter> {
        Counter::ALL.into_iter().find(|counter| counter.as_str() == name)
    }
}

/// One value a counter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters([u64; Counter::ALL.len()]);

impl Counters {
    /// Counts one more.
    pub fn add(&mut self, counter: Counter) {
        self.0[counter as usize] += 1;
    }

    /// The counters with their values.
    pub fn values(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL
            .into_iter()
            .map(|counter| (counter, self.0[counter as usize]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_its_own_name_and_place() {
        let mut counters = Counters::default();
        for counter in Counter::ALL {
            counters.add(counter);
            assert_eq!(Counter::named(counter.as_str()), Some(counter));
        }
        assert!(counters.values().all(|(_, value)| value == 1));
    }
}
