//! Idle connections that are taken out, and those that are looked after.

use super::super::slot::{Outcome, Slot, SlotId, Standing};
use super::State;
use crate::clock::Moment;

impl<C: Standing> State<C> {
    /// Takes idle connections out of the pool that fit, with the time they came back.
    pub fn take_idle(&mut self, mut fits: impl FnMut(SlotId, &C, Moment) -> bool) -> Vec<C> {
        let mut taken = Vec::new();
        let slots = &mut self.slots;
        self.idle.retain(|&number| {
            let Slot::Idle { connection, since } = &slots[number] else {
                return false;
            };
            if !fits(number, connection, *since) {
                return true;
            }
            if let Slot::Idle { connection, .. } = std::mem::replace(&mut slots[number], Slot::Empty) {
                taken.push(connection);
            }
            false
        });
        self.trim();
        taken
    }

    /// Keeps nothing idle until somebody asks again: what is idle is to be closed, and what comes free to nobody.
    pub fn rest(&mut self) -> Vec<C> {
        self.resting = true;
        self.take_idle(|_, _, _| true)
    }

    /// Somebody asks.
    pub fn stir(&mut self) {
        self.resting = false;
    }

    /// Whether nothing is kept idle.
    pub fn is_resting(&self) -> bool {
        self.resting
    }

    /// Takes one idle connection away to look after it; [`State::cleaned`] or [`State::vacate`] has to follow.
    pub fn borrow_idle(&mut self, mut fits: impl FnMut(&C, Moment) -> bool) -> Option<(SlotId, C)> {
        let found = self.idle.iter().position(|&number| match &self.slots[number] {
            Slot::Idle { connection, since } => fits(connection, *since),
            _ => false,
        })?;
        let number = self.idle.remove(found);
        match std::mem::replace(&mut self.slots[number], Slot::Away) {
            Slot::Idle { connection, .. } => Some((number, connection)),
            _ => None,
        }
    }

    /// Puts back a connection that was borrowed while it was idle: it has been idle since before, and is no nearer to
    /// being lent.
    pub fn put_back(&mut self, slot: SlotId, connection: C, since: Moment, now: Moment) -> Outcome<C> {
        let outcome = self.free(slot, connection, now);
        if let Some(Slot::Idle { since: until_now, .. }) = self.slots.get_mut(slot) {
            *until_now = since;
            self.idle.retain(|other| *other != slot);
            let younger = self.idle.iter().position(|other| match &self.slots[*other] {
                Slot::Idle { since: other, .. } => *other > since,
                _ => false,
            });
            self.idle.insert(younger.unwrap_or(self.idle.len()), slot);
        }
        outcome
    }

    /// Every connection at hand: idle ones, and leased ones without a statement under way.
    pub fn connections(&mut self) -> impl Iterator<Item = &mut C> {
        self.slots.iter_mut().filter_map(|slot| match slot {
            Slot::Idle { connection, .. } => Some(connection),
            Slot::Leased(lease) => lease.connection.as_mut(),
            _ => None,
        })
    }
}
