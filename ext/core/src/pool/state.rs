//! What a pool knows of its slots, leases and waiters, and every step between them. No clock, no network, no thread: a
//! step takes what it needs and answers what is to be done, outside of the lock.
//!
//! Each of the pool's `size` places is a slot in one of five states, so none can be lost and none exceeds the size:
//! empty, opening (a connect is under way), idle, leased, and away (the background cleans its connection). While somebody
//! waits no slot is idle: whatever comes free goes to the oldest waiter.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::slot::{Checkout, Lease, Numbers, Outcome, Refused, Slot, SlotId, Standing, Ticket};
use crate::clock::Moment;
use crate::owner::OwnerId;

#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    owner: OwnerId,
}

/// The state of one pool; `C` is its connection.
#[derive(Debug)]
pub struct State<C> {
    size: usize,
    slots: Vec<Slot<C>>,
    /// The one that came back last is the next to be lent, so that a pool which once was large can shrink.
    idle: Vec<SlotId>,
    by_owner: FxHashMap<OwnerId, SlotId>,
    waiters: VecDeque<Waiter>,
    tickets: Ticket,
    closed: bool,
    /// Condemned connections that a checkout came upon: to be closed outside of the lock.
    dead: Vec<C>,
}

impl<C: Standing> State<C> {
    /// A pool with nothing open.
    pub fn new(size: usize) -> Self {
        let mut state = State {
            size: 0,
            slots: Vec::new(),
            idle: Vec::new(),
            by_owner: FxHashMap::default(),
            waiters: VecDeque::new(),
            tickets: 0,
            closed: false,
            dead: Vec::new(),
        };
        drop(state.resize(size));
        state
    }

    /// Changes the size. Returns idle connections that have no place any more, to be closed; leased ones leave when they
    /// come back.
    pub fn resize(&mut self, size: usize) -> Vec<C> {
        let more = size.saturating_sub(self.slots.len());
        self.slots.extend((0..more).map(|_| Slot::Empty));
        self.size = size;
        // A checkout allocates nothing: there is room for all of them.
        self.idle.reserve(self.slots.len());
        self.by_owner.reserve(self.slots.len());
        self.take_idle(|slot, _, _| slot >= size)
    }

    /// Lends an idle connection, the one that came back last. Does not wait, and opens nothing.
    pub fn checkout(&mut self, owner: OwnerId, now: Moment) -> Checkout {
        if let Some(slot) = self.by_owner.get(&owner) {
            return Checkout::Again(*slot);
        }
        if self.closed {
            return Checkout::Closed;
        }
        while let Some(slot) = self.idle.pop() {
            self.tickets += 1;
            if self.lend(slot, owner, self.tickets, now) {
                return Checkout::Leased(slot);
            }
        }
        Checkout::NoneIdle
    }

    /// The condemned connections that checkouts came upon, to be closed.
    pub fn take_dead(&mut self) -> Vec<C> {
        std::mem::take(&mut self.dead)
    }

    /// Puts an owner at the end of the queue; none where it is there already, as in a handler of signals.
    pub fn wait(&mut self, owner: OwnerId) -> Option<Ticket> {
        if self.waiters.iter().any(|waiter| waiter.owner == owner) {
            return None;
        }
        self.tickets += 1;
        let ticket = self.tickets;
        self.waiters.push_back(Waiter { ticket, owner });
        Some(ticket)
    }

    /// Takes a slot to open a connection in, where somebody waits for one that nobody opens yet. To be asked after
    /// [`State::wait`] and whenever a slot has come free.
    pub fn open_one(&mut self) -> Option<SlotId> {
        if self.closed || self.numbers().opening >= self.waiters.len() {
            return None;
        }
        self.open_spare()
    }

    /// Takes a slot to open a connection in, whether or not anybody waits.
    pub fn open_spare(&mut self) -> Option<SlotId> {
        let free = self.slots.iter().take(self.size);
        let slot = free.into_iter().position(|slot| matches!(slot, Slot::Empty))?;
        self.slots[slot] = Slot::Opening;
        Some(slot)
    }

    /// A connection was opened in a slot.
    pub fn opened(&mut self, slot: SlotId, connection: C, now: Moment) -> Outcome<C> {
        debug_assert!(matches!(self.slots[slot], Slot::Opening));
        self.free(slot, connection, now)
    }

    /// The background is done with a connection, which is as good as new.
    pub fn cleaned(&mut self, slot: SlotId, connection: C, now: Moment) -> Outcome<C> {
        debug_assert!(matches!(self.slots[slot], Slot::Away));
        self.free(slot, connection, now)
    }

    /// A slot has no connection any more: it could not be opened or cleaned.
    pub fn vacate(&mut self, slot: SlotId) {
        if matches!(self.slots[slot], Slot::Opening | Slot::Away) {
            self.slots[slot] = Slot::Empty;
        }
        self.trim();
    }

    /// What a waiter has been given; none as long as it waits.
    pub fn handed(&self, owner: OwnerId, ticket: Ticket) -> Option<SlotId> {
        let slot = *self.by_owner.get(&owner)?;
        matches!(&self.slots[slot], Slot::Leased(lease) if lease.ticket == ticket).then_some(slot)
    }

    /// Whether a waiter is still in the queue.
    pub fn waits(&self, ticket: Ticket) -> bool {
        self.waiters.iter().any(|waiter| waiter.ticket == ticket)
    }

    /// A waiter gives up. Whatever it has been given in the meantime goes back.
    pub fn give_up(&mut self, owner: OwnerId, ticket: Ticket, now: Moment) -> Outcome<C> {
        self.waiters.retain(|waiter| waiter.ticket != ticket);
        match self.handed(owner, ticket) {
            Some(_) => self.release(owner, now),
            None => Outcome::Done,
        }
    }

    /// Takes every waiter out of the queue, oldest first: they are to be told why.
    pub fn dismiss(&mut self) -> Vec<Ticket> {
        self.waiters.drain(..).map(|waiter| waiter.ticket).collect()
    }

    /// Ends an owner's lease. One whose statement is still under way goes on without it: whoever brings the connection
    /// back is told to clean it.
    pub fn release(&mut self, owner: OwnerId, now: Moment) -> Outcome<C> {
        let Some(slot) = self.by_owner.remove(&owner) else {
            return Outcome::Done;
        };
        let Slot::Leased(lease) = std::mem::replace(&mut self.slots[slot], Slot::Away) else {
            return Outcome::Done;
        };
        match lease.connection {
            Some(connection) if connection.is_dirty() && !connection.is_condemned() => Outcome::Clean(slot, connection),
            Some(connection) => self.free(slot, connection, now),
            None if lease.broken => {
                self.vacate(slot);
                Outcome::Vacant
            }
            None => Outcome::Done,
        }
    }

    /// The lease of an owner.
    pub fn lease(&self, owner: OwnerId) -> Option<(SlotId, &Lease<C>)> {
        let slot = *self.by_owner.get(&owner)?;
        match &self.slots[slot] {
            Slot::Leased(lease) => Some((slot, lease)),
            _ => None,
        }
    }

    /// The lease of an owner, to be changed.
    pub fn lease_mut(&mut self, owner: OwnerId) -> Option<&mut Lease<C>> {
        let slot = *self.by_owner.get(&owner)?;
        match &mut self.slots[slot] {
            Slot::Leased(lease) => Some(lease),
            _ => None,
        }
    }

    /// The leases that are older than this and were not reported yet, with their age: reported from now on.
    pub fn report_old(&mut self, age: Duration, now: Moment) -> Vec<(OwnerId, Duration)> {
        let leases = self.slots.iter_mut().filter_map(|slot| match slot {
            Slot::Leased(lease) if !lease.reported && now.since(lease.since) > age => Some(lease),
            _ => None,
        });
        let told = leases.map(|lease| {
            lease.reported = true;
            (lease.owner, now.since(lease.since))
        });
        told.collect()
    }

    /// Every lease.
    pub fn leases(&self) -> impl Iterator<Item = (SlotId, &Lease<C>)> {
        self.slots.iter().enumerate().filter_map(|(number, slot)| match slot {
            Slot::Leased(lease) => Some((number, lease)),
            _ => None,
        })
    }

    /// Takes the connection out of a lease for the length of a statement; [`State::bring_back`] has to follow.
    ///
    /// # Errors
    ///
    /// [`Refused`] where this owner has no such slot, or no connection in it just now.
    pub fn take(&mut self, slot: SlotId, owner: OwnerId) -> Result<(Ticket, bool, C), Refused> {
        match self.slots.get_mut(slot) {
            Some(Slot::Leased(lease)) if lease.owner == owner => {
                let missing = if lease.broken { Refused::Broken } else { Refused::Busy };
                let connection = lease.connection.take().ok_or(missing)?;
                Ok((lease.ticket, std::mem::replace(&mut lease.used, true), connection))
            }
            _ => Err(Refused::NotLeased),
        }
    }

    /// Whether a statement of this owner's lease is under way.
    pub fn is_busy(&self, slot: SlotId, owner: OwnerId) -> bool {
        let found = self.slots.get(slot);
        matches!(found, Some(Slot::Leased(lease)) if lease.owner == owner && lease.connection.is_none() && !lease.broken)
    }

    /// Brings a connection back from a statement. Where its lease has ended meanwhile it is to be cleaned.
    pub fn bring_back(&mut self, slot: SlotId, ticket: Ticket, connection: C) -> Outcome<C> {
        match &mut self.slots[slot] {
            Slot::Leased(lease) if lease.ticket == ticket => {
                lease.connection = Some(connection);
                Outcome::Done
            }
            _ => Outcome::Clean(slot, connection),
        }
    }

    /// A connection has broken in a statement: the lease goes on without it until it is released. Where that has
    /// happened already, the slot is empty now.
    pub fn broke(&mut self, slot: SlotId, ticket: Ticket) -> Outcome<C> {
        match &mut self.slots[slot] {
            Slot::Leased(lease) if lease.ticket == ticket => {
                lease.broken = true;
                Outcome::Done
            }
            _ => {
                self.vacate(slot);
                Outcome::Vacant
            }
        }
    }

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

    /// Closes the pool: nothing is lent any more, and idle connections are to be closed.
    pub fn close(&mut self) -> (Vec<C>, Vec<Ticket>) {
        self.closed = true;
        (self.take_idle(|_, _, _| true), self.dismiss())
    }

    /// Whether the pool is closed.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Every connection at hand: idle ones, and leased ones without a statement under way.
    pub fn connections(&mut self) -> impl Iterator<Item = &mut C> {
        self.slots.iter_mut().filter_map(|slot| match slot {
            Slot::Idle { connection, .. } => Some(connection),
            Slot::Leased(lease) => lease.connection.as_mut(),
            _ => None,
        })
    }

    /// How many are in which state.
    pub fn numbers(&self) -> Numbers {
        let mut numbers = Numbers {
            size: self.size,
            waiting: self.waiters.len(),
            ..Numbers::default()
        };
        for slot in &self.slots {
            match slot {
                Slot::Empty => {}
                Slot::Opening => numbers.opening += 1,
                Slot::Idle { .. } => numbers.idle += 1,
                Slot::Leased(_) => numbers.leased += 1,
                Slot::Away => numbers.away += 1,
            }
        }
        numbers
    }

    /// A slot's connection is free: it goes to the oldest waiter, or becomes idle.
    fn free(&mut self, slot: SlotId, connection: C, now: Moment) -> Outcome<C> {
        if self.closed || slot >= self.size || connection.is_condemned() {
            self.slots[slot] = Slot::Empty;
            self.trim();
            return Outcome::Close(connection);
        }
        self.slots[slot] = Slot::Idle { connection, since: now };
        match self.waiters.pop_front() {
            Some(waiter) => {
                self.lend(slot, waiter.owner, waiter.ticket, now);
                Outcome::Handed(waiter.ticket)
            }
            None => {
                self.idle.push(slot);
                Outcome::Done
            }
        }
    }

    /// Returns whether the connection could be lent.
    fn lend(&mut self, slot: SlotId, owner: OwnerId, ticket: Ticket, now: Moment) -> bool {
        let Slot::Idle { connection, .. } = std::mem::replace(&mut self.slots[slot], Slot::Empty) else {
            return false;
        };
        if connection.is_condemned() {
            self.dead.push(connection);
            return false;
        }
        self.slots[slot] = Slot::Leased(Lease {
            owner,
            ticket,
            since: now,
            used: false,
            lent_to_block: false,
            reported: false,
            connection: Some(connection),
            broken: false,
        });
        self.by_owner.insert(owner, slot);
        true
    }

    /// Slots beyond the size go when they are empty.
    fn trim(&mut self) {
        while self.slots.len() > self.size && matches!(self.slots.last(), Some(Slot::Empty)) {
            self.slots.pop();
        }
    }
}
