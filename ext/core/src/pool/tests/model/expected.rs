//! What has to become of a connection that comes free.

use super::super::Fake;
use super::{Hand, Pair, Place};
use crate::owner::OwnerId;
use crate::pool::{Outcome, SlotId, Ticket};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Done,
    Handed(Ticket),
    Close(u32),
    Vacant,
    Clean(SlotId, u32),
    Retire(SlotId, u32),
}

impl Pair {
    /// A connection is free: what has to become of it.
    pub(super) fn free(&mut self, slot: SlotId, fake: &Fake) -> Expected {
        let unwanted = self.resting && self.queue.is_empty();
        if self.closed || unwanted || self.slots.len() > self.size || fake.condemned.get() {
            self.slots.remove(&slot);
            return Expected::Close(fake.id);
        }
        assert!(!fake.dirty);
        if fake.old {
            self.slots.insert(slot, Place::Away);
            return Expected::Retire(slot, fake.id);
        }
        match self.queue.pop_front() {
            Some((owner, ticket)) => {
                let hand = Hand::Here(fake.id);
                self.slots.insert(slot, Place::Leased { owner, ticket, hand });
                Expected::Handed(ticket)
            }
            None => {
                self.slots.insert(slot, Place::Idle(fake.id));
                self.idle.push(slot);
                Expected::Done
            }
        }
    }

    /// A lease ends: what has to become of its connection.
    pub(super) fn ended(&mut self, owner: OwnerId) -> Expected {
        let Some(slot) = self.slot_of(owner) else {
            return Expected::Done;
        };
        match self.hand(slot) {
            Some(Hand::Here(_)) => {
                let fake = self
                    .state
                    .lease(owner)
                    .and_then(|(_, lease)| lease.connection())
                    .cloned();
                let fake = fake.expect("a connection");
                if fake.dirty && !fake.condemned.get() {
                    self.slots.insert(slot, Place::Away);
                    return Expected::Clean(slot, fake.id);
                }
                self.free(slot, &fake)
            }
            Some(Hand::Broken) => {
                self.slots.remove(&slot);
                Expected::Vacant
            }
            _ => {
                self.slots.insert(slot, Place::Away);
                Expected::Done
            }
        }
    }

    pub(super) fn follow(&mut self, outcome: Outcome<Fake>, expected: Expected) {
        let found = match &outcome {
            Outcome::Done => Expected::Done,
            Outcome::Handed(ticket) => Expected::Handed(*ticket),
            Outcome::Close(fake) => Expected::Close(fake.id),
            Outcome::Vacant => Expected::Vacant,
            Outcome::Clean(slot, fake) => Expected::Clean(*slot, fake.id),
            Outcome::Retire(slot, fake) => Expected::Retire(*slot, fake.id),
        };
        assert_eq!(found, expected);
        match outcome {
            Outcome::Clean(slot, fake) | Outcome::Retire(slot, fake) => self.away.push((slot, fake)),
            Outcome::Close(_) | Outcome::Vacant => {
                self.refill();
            }
            Outcome::Done | Outcome::Handed(_) => {}
        }
    }
}
