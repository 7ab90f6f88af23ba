//! Lending: to whoever finds an idle connection, to whoever waits, and back.

use std::sync::Arc;
use std::time::Instant;

use super::connection::Kept;
use super::{Found, NativePool, Waker};
use crate::clock::Moment;
use crate::error::{Error, Misuse};
use crate::lock::lock;
use crate::owner::OwnerId;
use crate::pool::{Checkout, SlotId, Ticket};

impl NativePool {
    /// Lends an idle connection to an owner, or tells the one it has. Takes a lock, and neither waits nor allocates.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn checkout(&self, owner: OwnerId, for_block: bool) -> Result<Found, Error> {
        let mut inner = lock(&self.inner);
        let found = inner.state.checkout(owner, Moment::now());
        if let (Checkout::Leased(_), Some(lease)) = (&found, inner.state.lease_mut(owner).filter(|_| for_block)) {
            lease.lent_to_block = true;
        }
        let dead = inner.state.take_dead();
        drop(inner);
        self.part_with(dead);
        self.process.lease_begins();
        match found {
            Checkout::Leased(slot) => Ok(Found::New(slot)),
            Checkout::Again(slot) => Ok(Found::Held(slot)),
            Checkout::NoneIdle => Ok(Found::Nothing),
            Checkout::Closed => Err(self.closed()),
        }
    }

    /// Puts an owner into the queue, and sees to it that there will be a connection. `wake` is called when
    /// [`NativePool::answer`] has one, which is to be asked before the first wait: one may have come back by now.
    ///
    /// # Errors
    ///
    /// [`Error::HostDown`] at once while the server cannot be reached.
    pub fn wait(&self, owner: OwnerId, wake: Waker) -> Result<Ticket, Error> {
        let (ticket, slot, dead) = {
            let mut inner = lock(&self.inner);
            if inner.state.is_closed() {
                return Err(self.closed());
            }
            inner.state.stir();
            if let Some(down) = &inner.down {
                return Err(self.host_down(down.cause.clone()));
            }
            let ticket = inner.state.wait(owner, Moment::now());
            let ticket = ticket.ok_or_else(|| self.not_held(Misuse::Waiting))?;
            inner.waiting.enter(ticket, wake);
            (ticket, inner.state.open_one(), inner.state.take_dead())
        };
        self.part_with(dead);
        if let Some(slot) = slot {
            self.open(slot);
        }
        Ok(ticket)
    }

    /// What a waiter has been given: a slot, or why there is none; nothing as long as it waits.
    pub fn answer(&self, owner: OwnerId, ticket: Ticket) -> Option<Result<SlotId, Error>> {
        let mut inner = lock(&self.inner);
        if let Some(slot) = inner.state.handed(owner, ticket) {
            inner.waiting.leave(ticket);
            self.process.lease_begins();
            return Some(Ok(slot));
        }
        if inner.state.waits(ticket) {
            return None;
        }
        // Neither refused nor in the queue: it was given one, and its lease has ended before it looked.
        let refused = inner.waiting.refusal(ticket);
        inner.waiting.leave(ticket);
        Some(Err(refused.unwrap_or_else(|| self.not_held(Misuse::Gone))))
    }

    /// A waiter gives up: interrupted, or out of time. What it has been given meanwhile goes back.
    pub fn give_up(&self, owner: OwnerId, ticket: Ticket) {
        let outcome = {
            let mut inner = lock(&self.inner);
            inner.waiting.leave(ticket);
            inner.state.give_up(owner, ticket, Moment::now())
        };
        self.follow(outcome);
    }

    /// How many transactions are open, one in the other, on an owner's connection, which no statement has just now.
    ///
    /// # Errors
    ///
    /// [`Error::NotHeld`].
    pub fn level(&self, slot: SlotId, owner: OwnerId) -> Result<u32, Error> {
        let inner = lock(&self.inner);
        let held = inner.state.lease(owner).filter(|(held, _)| *held == slot);
        let (_, lease) = held.ok_or_else(|| self.not_held(Misuse::Gone))?;
        let kept = lease.connection().ok_or_else(|| self.not_held(Misuse::Broken))?;
        Ok(kept.depth)
    }

    /// Notes that a block has an owner's connection, and gives it back at its end.
    pub fn lend_to_block(&self, owner: OwnerId) {
        if let Some(lease) = lock(&self.inner).state.lease_mut(owner) {
            lease.lent_to_block = true;
        }
    }

    /// Ends an owner's lease. Returns whether it had one. Never waits: what is left to do is done in the background.
    ///
    /// What a block has is left to it, unless the block itself asks.
    pub fn release(&self, owner: OwnerId, by_block: bool) -> bool {
        if self.leases.is_zero() {
            return false;
        }
        let (evidence, outcome) = {
            let mut inner = lock(&self.inner);
            let Some((_, lease)) = inner.state.lease(owner) else {
                return false;
            };
            // A transaction block runs on it, and has its own end.
            let in_use = lease.lent_to_block || lease.connection().is_some_and(|kept| kept.depth > 0);
            if in_use && !by_block {
                return false;
            }
            let evidence = self
                .process
                .hosts
                .any_incident()
                .then(|| self.evidence_of(lease))
                .flatten();
            inner.released += 1;
            (evidence, inner.state.release(owner, Moment::now()))
        };
        if let Some((host, opened_at, since)) = evidence {
            self.process
                .works(&host, Some(self.number), Some(opened_at), since, Instant::now());
        }
        self.follow(outcome);
        true
    }

    /// Ends the leases of owners that are gone, and takes them out of the queue. Returns how many leases that were.
    pub fn reclaim(&self, gone: &[OwnerId]) -> usize {
        let ended = gone.iter().filter(|owner| {
            let work = {
                let mut inner = lock(&self.inner);
                if let Some(ticket) = inner.state.dismiss_owner(**owner) {
                    inner.waiting.leave(ticket);
                }
                let slot = inner.state.lease(**owner).map(|(slot, _)| slot);
                slot.and_then(|slot| inner.working.get(&slot).cloned())
            };
            let released = self.release(**owner, true);
            // Nobody waits for it, and nobody could say so.
            work.inspect(|work| work.abandon());
            released
        });
        ended.count()
    }

    /// The server that an owner's connection leads to; with `condemn` that is dropped when it comes back.
    pub(in crate::process) fn host_of(&self, owner: OwnerId, condemn: bool) -> Option<Arc<str>> {
        let inner = lock(&self.inner);
        let kept = inner.state.lease(owner)?.1.connection()?;
        if condemn {
            kept.condemn();
        }
        Some(kept.host.clone())
    }

    fn evidence_of(&self, lease: &crate::pool::Lease<Box<Kept>>) -> Option<(Arc<str>, Instant, Instant)> {
        let kept = lease.connection()?;
        let since = Instant::now().checked_sub(lease.since.elapsed())?;
        (lease.used && !kept.is_dead()).then(|| (kept.host.clone(), kept.opened_at, since))
    }
}
