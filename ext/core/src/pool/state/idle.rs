//! Idle connections that are taken out, and those that are looked after.

use super::super::slot::{Slot, SlotId, Standing};
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

    /// Every connection at hand: idle ones, and leased ones without a statement under way.
    pub fn connections(&mut self) -> impl Iterator<Item = &mut C> {
        self.slots.iter_mut().filter_map(|slot| match slot {
            Slot::Idle { connection, .. } => Some(connection),
            Slot::Leased(lease) => lease.connection.as_mut(),
            _ => None,
        })
    }
}
