//! What a pool knows of its slots, leases and waiters, and every step between them. No clock, no network, no thread: a
//! step takes what it needs and answers what is to be done, outside of the lock.
//!
//! Each place is a slot in one of five states, so none can be lost: empty, opening (a connect is under way), idle,
//! leased, and away (the background cleans its connection). No more than `size` of them are anything but empty, except
//! for leases that were there before the size was made smaller. While somebody waits no slot is idle: whatever comes
//! free goes to the oldest waiter.

mod count;
mod idle;
mod leases;
mod waiters;

use rustc_hash::FxHashMap;

use super::slot::{Checkout, Lease, Numbers, Outcome, Slot, SlotId, Standing, Ticket};
use crate::clock::Moment;
use crate::owner::OwnerId;

pub use count::LeaseCount;
use waiters::{Waiter, Waiters};

/// The state of one pool; `C` is its connection.
#[derive(Debug)]
pub struct State<C> {
    size: usize,
    slots: Vec<Slot<C>>,
    /// The one that came back last is the next to be lent, so that a pool which once was large can shrink.
    idle: Vec<SlotId>,
    by_owner: FxHashMap<OwnerId, SlotId>,
    count: LeaseCount,
    waiters: Waiters,
    tickets: Ticket,
    closed: bool,
    /// Nothing is kept for whoever comes next: nobody is expected.
    resting: bool,
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
            count: LeaseCount::new(),
            waiters: Waiters::default(),
            tickets: 0,
            closed: false,
            resting: false,
            dead: Vec::new(),
        };
        drop(state.resize(size));
        state
    }

    /// The number of leases, for those who do not hold the pool's lock.
    pub fn lease_count(&self) -> LeaseCount {
        self.count.clone()
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
        let mut surplus = self.occupied().saturating_sub(size);
        self.take_idle(|_, _, _| {
            let goes = surplus > 0;
            surplus -= usize::from(goes);
            goes
        })
    }

    /// Lends an idle connection, the one that came back last. Does not wait, and opens nothing.
    pub fn checkout(&mut self, owner: OwnerId, now: Moment) -> Checkout {
        if let Some(slot) = self.by_owner.get(&owner) {
            return Checkout::Again(*slot);
        }
        if self.closed {
            return Checkout::Closed;
        }
        self.tickets += 1;
        match self.lend_idle(owner, self.tickets, now) {
            Some(slot) => Checkout::Leased(slot),
            None => Checkout::NoneIdle,
        }
    }

    /// The condemned connections that were come upon when one was to be lent, to be closed.
    pub fn take_dead(&mut self) -> Vec<C> {
        std::mem::take(&mut self.dead)
    }

    /// Puts an owner at the end of the queue; none where it is there already or holds a connection, as in a handler of
    /// signals. What has come back since its checkout found nothing it is given at once: see [`State::handed`].
    pub fn wait(&mut self, owner: OwnerId, now: Moment) -> Option<Ticket> {
        if self.waiters.has_owner(owner) || self.by_owner.contains_key(&owner) {
            return None;
        }
        self.tickets += 1;
        let ticket = self.tickets;
        if self.lend_idle(owner, ticket, now).is_none() {
            self.waiters.push(Waiter { ticket, owner });
        }
        Some(ticket)
    }

    /// Takes a slot to open a connection in, where somebody waits for one that nobody opens yet. To be asked after
    /// [`State::wait`] and whenever a slot has come free.
    pub fn open_one(&mut self) -> Option<SlotId> {
        if self.numbers().opening >= self.waiters.len() {
            return None;
        }
        self.open_spare()
    }

    /// Takes a slot to open a connection in, whether or not anybody waits.
    pub fn open_spare(&mut self) -> Option<SlotId> {
        if self.closed || self.occupied() >= self.size {
            return None;
        }
        let slot = self.slots.iter().position(|slot| matches!(slot, Slot::Empty))?;
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
        if let Some(place @ (Slot::Opening | Slot::Away)) = self.slots.get_mut(slot) {
            *place = Slot::Empty;
        }
        self.trim();
    }

    /// What a waiter has been given; none as long as it waits.
    pub fn handed(&self, owner: OwnerId, ticket: Ticket) -> Option<SlotId> {
        let (slot, lease) = self.lease(owner)?;
        (lease.ticket == ticket).then_some(slot)
    }

    /// Whether a waiter is still in the queue.
    pub fn waits(&self, ticket: Ticket) -> bool {
        self.waiters.has(ticket)
    }

    /// A waiter gives up. Whatever it has been given in the meantime goes back.
    pub fn give_up(&mut self, owner: OwnerId, ticket: Ticket, now: Moment) -> Outcome<C> {
        self.waiters.leave(ticket);
        match self.handed(owner, ticket) {
            Some(_) => self.release(owner, now),
            None => Outcome::Done,
        }
    }

    /// Takes an owner out of the queue that is gone. Returns its ticket.
    pub fn dismiss_owner(&mut self, owner: OwnerId) -> Option<Ticket> {
        self.waiters.leave_all_of(owner)
    }

    /// The owners that wait.
    pub fn waiting(&self) -> impl Iterator<Item = OwnerId> + '_ {
        self.waiters.owners()
    }

    /// Takes every waiter out of the queue, oldest first: they are to be told why.
    pub fn dismiss(&mut self) -> Vec<Ticket> {
        self.waiters.drain()
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

    fn occupied(&self) -> usize {
        self.slots.iter().filter(|slot| !matches!(slot, Slot::Empty)).count()
    }

    /// A slot's connection is free: it goes to the oldest waiter, or becomes idle.
    fn free(&mut self, slot: SlotId, connection: C, now: Moment) -> Outcome<C> {
        let surplus = self.slots.len() > self.size && self.occupied() > self.size;
        // Looked at once: its mark may be set at any moment, and a waiter that is out of the queue has to be served.
        let unwanted = self.resting && self.waiters.is_empty();
        if self.closed || unwanted || surplus || connection.is_condemned() {
            self.slots[slot] = Slot::Empty;
            self.trim();
            return Outcome::Close(connection);
        }
        if connection.is_old(now) {
            self.slots[slot] = Slot::Away;
            return Outcome::Retire(slot, connection);
        }
        match self.waiters.next() {
            Some(waiter) => {
                self.lend(slot, connection, waiter.owner, waiter.ticket, now);
                Outcome::Handed(waiter.ticket)
            }
            None => {
                self.slots[slot] = Slot::Idle { connection, since: now };
                self.idle.push(slot);
                Outcome::Done
            }
        }
    }

    /// Lends the connection that came back last and is not condemned.
    fn lend_idle(&mut self, owner: OwnerId, ticket: Ticket, now: Moment) -> Option<SlotId> {
        while let Some(slot) = self.idle.pop() {
            match std::mem::replace(&mut self.slots[slot], Slot::Empty) {
                Slot::Idle { connection, .. } if connection.is_condemned() => self.dead.push(connection),
                Slot::Idle { connection, .. } => {
                    self.lend(slot, connection, owner, ticket, now);
                    return Some(slot);
                }
                // Only idle slots are on the stack.
                other => self.slots[slot] = other,
            }
        }
        None
    }

    fn lend(&mut self, slot: SlotId, connection: C, owner: OwnerId, ticket: Ticket, now: Moment) {
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
        self.count.set(self.by_owner.len());
    }

    /// Slots beyond the size go when they are empty.
    fn trim(&mut self) {
        while self.slots.len() > self.size && matches!(self.slots.last(), Some(Slot::Empty)) {
            self.slots.pop();
        }
    }
}
