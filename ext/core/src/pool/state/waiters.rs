//! The queue of those who wait, first come, first served.

use std::collections::VecDeque;

use super::super::slot::Ticket;
use crate::owner::OwnerId;
use crate::trip;

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    pub(super) owner: OwnerId,
}

#[derive(Debug, Default)]
pub(super) struct Waiters(VecDeque<Waiter>);

impl Waiters {
    pub(super) fn push(&mut self, waiter: Waiter) {
        self.0.push_back(waiter);
    }

    /// Takes out the oldest.
    pub(super) fn next(&mut self) -> Option<Waiter> {
        if trip::off("order") {
            return self.0.pop_back();
        }
        self.0.pop_front()
    }

    /// Takes out one that waits no longer.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.0.retain(|waiter| waiter.ticket != ticket);
    }

    /// Takes out an owner. Returns its ticket.
    pub(super) fn leave_all_of(&mut self, owner: OwnerId) -> Option<Ticket> {
        let place = self.0.iter().position(|waiter| waiter.owner == owner)?;
        self.0.remove(place).map(|waiter| waiter.ticket)
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = OwnerId> + '_ {
        self.0.iter().map(|waiter| waiter.owner)
    }

    /// Takes out all, oldest first.
    pub(super) fn drain(&mut self) -> Vec<Ticket> {
        self.0.drain(..).map(|waiter| waiter.ticket).collect()
    }

    pub(super) fn has(&self, ticket: Ticket) -> bool {
        self.0.iter().any(|waiter| waiter.ticket == ticket)
    }

    pub(super) fn has_owner(&self, owner: OwnerId) -> bool {
        self.0.iter().any(|waiter| waiter.owner == owner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
