//! What holds after every step, and when everybody has gone home.

use super::{Hand, Pair, Place};

impl Pair {
    /// Everybody goes home, and the background comes to its end.
    pub fn rest(&mut self) {
        while let Some((_, ticket)) = self.queue.front().copied() {
            self.give_up(0, false);
            assert!(!self.state.waits(ticket));
        }
        for owner in self.state.leases().map(|(_, lease)| lease.owner).collect::<Vec<_>>() {
            self.release(owner);
        }
        while !self.statements.is_empty() {
            self.bring_back(0, true, false);
        }
        while !self.away.is_empty() {
            self.cleaned(0);
        }
        while self.slots.values().any(|place| *place == Place::Opening) {
            self.opened(0, false);
        }
        self.check();
        assert_eq!(self.slots.len(), self.idle.len());
        assert!(self.idle.len() <= self.size);
    }

    /// What holds after every step.
    pub fn check(&mut self) {
        let numbers = self.state.numbers();
        let count = |fits: fn(&Place) -> bool| self.slots.values().filter(|place| fits(place)).count();
        assert_eq!(numbers.size, self.size);
        assert_eq!(numbers.idle, self.idle.len());
        assert_eq!(numbers.leased, count(|place| matches!(place, Place::Leased { .. })));
        assert_eq!(numbers.opening, count(|place| *place == Place::Opening));
        assert_eq!(numbers.away, count(|place| *place == Place::Away));
        assert_eq!(numbers.waiting, self.queue.len());
        assert_eq!(self.state.lease_count().is_zero(), numbers.leased == 0);

        // It was never larger since the size was set last, and shrinks towards it.
        assert!(self.slots.len() <= self.most.max(self.size), "{numbers}");
        self.most = self.slots.len().max(self.size);

        assert!(self.idle.is_empty() || !self.state.is_resting(), "{numbers}");

        // Nobody waits beside an idle connection, nor for a slot in which nobody opens one.
        assert!(self.queue.is_empty() || self.idle.is_empty(), "{numbers}");
        let served = numbers.opening >= numbers.waiting || self.slots.len() >= self.size;
        assert!(served, "{numbers}");

        for (owner, ticket) in &self.queue {
            assert!(self.state.waits(*ticket) && self.state.lease(*owner).is_none());
        }
        self.check_places();
    }

    /// Each lease is one owner's, and each connection in one place.
    fn check_places(&mut self) {
        let mut ids: Vec<_> = self.statements.iter().map(|(_, _, fake)| fake.id).collect();
        ids.extend(self.away.iter().map(|(_, fake)| fake.id));
        ids.extend(self.state.connections().map(|fake| fake.id));
        let places = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), places, "a connection is in two places");

        let mut owners = Vec::new();
        for (slot, lease) in self.state.leases() {
            let hand = match self.slots[&slot] {
                Place::Leased { owner, ticket, hand } if (owner, ticket) == (lease.owner, lease.ticket) => hand,
                place => panic!("{place:?} is leased as {lease:?}"),
            };
            let id = lease.connection().map(|fake| fake.id);
            assert_eq!(id, if let Hand::Here(id) = hand { Some(id) } else { None });
            owners.push(lease.owner);
        }
        let leases = owners.len();
        owners.sort_unstable();
        owners.dedup();
        assert_eq!(owners.len(), leases, "an owner has two leases");
    }
}
