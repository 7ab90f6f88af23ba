//! A pool beside a plain model of it, which says of every step what it has to come to.

mod expected;
mod invariants;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::Fake;
use crate::clock::Moment;
use crate::owner::OwnerId;
use crate::pool::{Checkout, Refused, SlotId, State, Ticket};
use expected::Expected;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Opening,
    Idle(u32),
    Leased { owner: OwnerId, ticket: Ticket, hand: Hand },
    Away,
}

/// Where the connection of a lease is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hand {
    Here(u32),
    InStatement,
    Broken,
}

/// The pool, its model, and whatever is in the hands of the background.
pub struct Pair {
    state: State<Fake>,
    size: usize,
    closed: bool,
    resting: bool,
    slots: BTreeMap<SlotId, Place>,
    /// The one that came back last is at the end.
    idle: Vec<SlotId>,
    queue: VecDeque<(OwnerId, Ticket)>,
    marks: BTreeMap<u32, Rc<Cell<bool>>>,
    away: Vec<(SlotId, Fake)>,
    statements: Vec<(SlotId, Ticket, Fake)>,
    last_ticket: Ticket,
    /// Leases from before the size was made smaller make for so many.
    most: usize,
}

impl Pair {
    pub fn new(size: usize) -> Self {
        Pair {
            state: State::new(size),
            size,
            closed: false,
            resting: false,
            slots: BTreeMap::new(),
            idle: Vec::new(),
            queue: VecDeque::new(),
            marks: BTreeMap::new(),
            away: Vec::new(),
            statements: Vec::new(),
            last_ticket: 0,
            most: size,
        }
    }

    /// A child begins with nothing.
    pub fn fork(&mut self) {
        *self = Pair::new(self.size);
    }

    pub fn checkout(&mut self, owner: OwnerId) {
        let held = self.slot_of(owner);
        let found = self.state.checkout(owner, Moment::now());
        let expected = match held {
            Some(slot) => Checkout::Again(slot),
            None if self.closed => Checkout::Closed,
            None => self.idle_for(owner).map_or(Checkout::NoneIdle, Checkout::Leased),
        };
        assert_eq!(found, expected);
        if let Checkout::Leased(slot) = found {
            let ticket = self.state.lease(owner).map(|(_, lease)| lease.ticket);
            self.lent(slot, owner, ticket.expect("a lease"));
        }
    }

    pub fn wait(&mut self, owner: OwnerId) {
        if self.closed {
            return;
        }
        let may = self.slot_of(owner).is_none() && self.queue.iter().all(|(waiter, _)| *waiter != owner);
        self.resting = false;
        self.state.stir();
        let ticket = self.state.wait(owner, Moment::now());
        assert_eq!(ticket.is_some(), may);
        let Some(ticket) = ticket else { return };
        // One may have come back since the checkout that found nothing.
        let idle = self.idle_for(owner);
        assert_eq!(self.state.handed(owner, ticket), idle);
        match idle {
            Some(slot) => self.lent(slot, owner, ticket),
            None => {
                self.new_ticket(ticket);
                self.queue.push_back((owner, ticket));
            }
        }
        self.refill();
    }

    pub fn open_spare(&mut self) {
        let slot = self.state.open_spare();
        assert_eq!(slot.is_some(), !self.closed && self.slots.len() < self.size);
        self.opening(slot);
    }

    pub fn opened(&mut self, choice: usize, condemned: bool) {
        let opening = self.slots_where(|place| *place == Place::Opening);
        if let Some(slot) = pick(&opening, choice) {
            let fake = Fake::new(u32::try_from(self.marks.len()).expect("few"));
            fake.condemned.set(condemned);
            self.marks.insert(fake.id, fake.condemned.clone());
            let expected = self.free(slot, &fake);
            let outcome = self.state.opened(slot, fake, Moment::now());
            self.follow(outcome, expected);
        }
    }

    pub fn connect_failed(&mut self, choice: usize) {
        let opening = self.slots_where(|place| *place == Place::Opening);
        if let Some(slot) = pick(&opening, choice) {
            self.vacate(slot);
        }
    }

    pub fn dismiss(&mut self) {
        let tickets: Vec<_> = self.queue.drain(..).map(|(_, ticket)| ticket).collect();
        assert_eq!(self.state.dismiss(), tickets);
    }

    pub fn release(&mut self, owner: OwnerId) {
        let expected = self.ended(owner);
        let outcome = self.state.release(owner, Moment::now());
        self.follow(outcome, expected);
    }

    pub fn give_up(&mut self, choice: usize, stale: bool) {
        let handed = self.slots.values().filter_map(|place| match place {
            Place::Leased { owner, ticket, .. } => Some((*owner, *ticket)),
            _ => None,
        });
        let tickets: Vec<_> = self.queue.iter().copied().chain(handed).collect();
        if let Some((owner, ticket)) = pick(&tickets, choice) {
            // A ticket that is over gives nothing back that its owner has from another.
            let ticket = if stale { self.last_ticket + 1 } else { ticket };
            let held = self.state.handed(owner, ticket).is_some();
            self.queue.retain(|(_, waiter)| *waiter != ticket);
            let expected = if held { self.ended(owner) } else { Expected::Done };
            let outcome = self.state.give_up(owner, ticket, Moment::now());
            self.follow(outcome, expected);
        }
    }

    pub fn take(&mut self, owner: OwnerId) {
        let slot = self.slot_of(owner);
        let hand = slot.and_then(|slot| self.hand(slot));
        let taken = self.state.take(slot.unwrap_or(0), owner);
        match (hand, taken) {
            (None, Err(refused)) => assert_eq!(refused, Refused::NotLeased),
            (Some(Hand::InStatement), Err(refused)) => assert_eq!(refused, Refused::Busy),
            (Some(Hand::Broken), Err(refused)) => assert_eq!(refused, Refused::Broken),
            (Some(Hand::Here(id)), Ok((ticket, _, fake))) => {
                assert_eq!(fake.id, id);
                let slot = slot.expect("a lease");
                self.set_hand(slot, Hand::InStatement);
                self.statements.push((slot, ticket, fake));
            }
            (hand, taken) => panic!("{hand:?} was taken as {taken:?}"),
        }
    }

    pub fn bring_back(&mut self, choice: usize, dirty: bool, old: bool) {
        let Some((slot, ticket, mut fake)) = pull(&mut self.statements, choice) else {
            return;
        };
        fake.dirty = dirty;
        fake.old = old;
        let expected = match self.is_lease(slot, ticket) {
            true => {
                self.set_hand(slot, Hand::Here(fake.id));
                Expected::Done
            }
            false => Expected::Clean(slot, fake.id),
        };
        let outcome = self.state.bring_back(slot, ticket, fake);
        self.follow(outcome, expected);
    }

    pub fn broke(&mut self, choice: usize) {
        let Some((slot, ticket, _)) = pull(&mut self.statements, choice) else {
            return;
        };
        let expected = match self.is_lease(slot, ticket) {
            true => {
                self.set_hand(slot, Hand::Broken);
                Expected::Done
            }
            false => {
                self.slots.remove(&slot);
                Expected::Vacant
            }
        };
        let outcome = self.state.broke(slot, ticket);
        self.follow(outcome, expected);
    }

    pub fn cleaned(&mut self, choice: usize) {
        if let Some((slot, mut fake)) = pull(&mut self.away, choice) {
            // One that is closed for its age, however clean it is.
            if fake.old && !fake.dirty {
                return self.vacate(slot);
            }
            fake.dirty = false;
            let expected = self.free(slot, &fake);
            let outcome = self.state.cleaned(slot, fake, Moment::now());
            self.follow(outcome, expected);
        }
    }

    pub fn not_cleaned(&mut self, choice: usize) {
        if let Some((slot, _)) = pull(&mut self.away, choice) {
            self.vacate(slot);
        }
    }

    pub fn condemn(&mut self, choice: usize) {
        if let Some(mark) = self.marks.values().nth(choice % self.marks.len().max(1)) {
            mark.set(true);
        }
    }

    pub fn borrow_idle(&mut self) {
        let oldest = self.idle.first().copied();
        let borrowed = self.state.borrow_idle(|_, _| true);
        assert_eq!(borrowed.as_ref().map(|(slot, _)| *slot), oldest);
        if let Some((slot, fake)) = borrowed {
            assert_eq!(self.slots.insert(slot, Place::Away), Some(Place::Idle(fake.id)));
            self.idle.remove(0);
            self.away.push((slot, fake));
        }
    }

    /// Evicts what is condemned, or closes all.
    pub fn take_idle(&mut self, all: bool) {
        let slots = std::mem::take(&mut self.idle);
        let (go, stay): (Vec<_>, _) = slots.into_iter().partition(|slot| all || self.is_condemned(*slot));
        self.idle = stay;
        let taken = self.state.take_idle(|_, fake, _| all || fake.condemned.get());
        self.gone(&go, &taken);
    }

    /// Keeps nothing idle until somebody asks.
    pub fn close_idle(&mut self) {
        self.resting = true;
        let go = std::mem::take(&mut self.idle);
        let taken = self.state.rest();
        self.gone(&go, &taken);
    }

    pub fn resize(&mut self, size: usize) {
        self.size = size;
        self.most = self.slots.len().max(size);
        let surplus = self.slots.len().saturating_sub(size).min(self.idle.len());
        let go: Vec<_> = self.idle.drain(..surplus).collect();
        let taken = self.state.resize(size);
        self.gone(&go, &taken);
        while self.refill() {}
    }

    pub fn close(&mut self) {
        self.closed = true;
        let go = std::mem::take(&mut self.idle);
        let tickets: Vec<_> = self.queue.drain(..).map(|(_, ticket)| ticket).collect();
        let (taken, dismissed) = self.state.close();
        assert_eq!(dismissed, tickets);
        self.gone(&go, &taken);
    }

    fn vacate(&mut self, slot: SlotId) {
        self.state.vacate(slot);
        self.slots.remove(&slot);
        self.refill();
    }

    fn refill(&mut self) -> bool {
        let slot = self.state.open_one();
        self.opening(slot);
        slot.is_some()
    }

    fn opening(&mut self, slot: Option<SlotId>) {
        if let Some(slot) = slot {
            assert_eq!(self.slots.insert(slot, Place::Opening), None, "slot {slot} was in use");
        }
    }

    /// The idle slot that an owner has to be lent, after the condemned ones above it.
    fn idle_for(&mut self, owner: OwnerId) -> Option<SlotId> {
        let mut dead = Vec::new();
        let found = loop {
            match self.idle.pop() {
                Some(slot) if self.is_condemned(slot) => dead.push(slot),
                found => break found,
            }
        };
        let taken = self.state.take_dead();
        self.gone(&dead, &taken);
        assert_eq!(self.state.lease(owner).map(|(slot, _)| slot), found);
        found
    }

    fn lent(&mut self, slot: SlotId, owner: OwnerId, ticket: Ticket) {
        self.new_ticket(ticket);
        let Some(Place::Idle(id)) = self.slots.get(&slot).copied() else {
            panic!("slot {slot} was not idle");
        };
        let hand = Hand::Here(id);
        self.slots.insert(slot, Place::Leased { owner, ticket, hand });
    }

    fn new_ticket(&mut self, ticket: Ticket) {
        assert!(ticket > self.last_ticket);
        self.last_ticket = ticket;
    }

    fn gone(&mut self, slots: &[SlotId], taken: &[Fake]) {
        let expected: Vec<_> = slots.iter().filter_map(|slot| self.slots.remove(slot)).collect();
        let taken: Vec<_> = taken.iter().map(|fake| Place::Idle(fake.id)).collect();
        assert_eq!(taken, expected);
    }

    fn is_condemned(&self, slot: SlotId) -> bool {
        matches!(self.slots.get(&slot), Some(Place::Idle(id)) if self.marks[id].get())
    }

    fn is_lease(&self, slot: SlotId, wanted: Ticket) -> bool {
        matches!(self.slots.get(&slot), Some(Place::Leased { ticket, .. }) if *ticket == wanted)
    }

    fn hand(&self, slot: SlotId) -> Option<Hand> {
        match self.slots.get(&slot) {
            Some(Place::Leased { hand, .. }) => Some(*hand),
            _ => None,
        }
    }

    fn set_hand(&mut self, slot: SlotId, now: Hand) {
        if let Some(Place::Leased { hand, .. }) = self.slots.get_mut(&slot) {
            *hand = now;
        }
    }

    fn slot_of(&self, wanted: OwnerId) -> Option<SlotId> {
        let leased = |place: &Place| matches!(place, Place::Leased { owner, .. } if *owner == wanted);
        self.slots_where(leased).first().copied()
    }

    fn slots_where(&self, fits: impl Fn(&Place) -> bool) -> Vec<SlotId> {
        let found = self.slots.iter().filter(|(_, place)| fits(place));
        found.map(|(slot, _)| *slot).collect()
    }
}

fn pick<T: Copy>(all: &[T], choice: usize) -> Option<T> {
    all.get(choice % all.len().max(1)).copied()
}

fn pull<T>(all: &mut Vec<T>, choice: usize) -> Option<T> {
    let place = choice % all.len().max(1);
    (place < all.len()).then(|| all.remove(place))
}
