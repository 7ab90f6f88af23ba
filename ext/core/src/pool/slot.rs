//! The places of a pool, and what its steps answer.

use crate::clock::Moment;
use crate::owner::OwnerId;

/// A slot's place in its pool.
pub type SlotId = usize;

/// A lease or a waiter, by a number that is never used twice.
pub type Ticket = u64;

/// What a pool keeps in its slots.
pub trait Standing {
    /// Whether it is to be dropped instead of lent.
    fn is_condemned(&self) -> bool;

    /// Whether it is to be cleaned before anybody else gets it: a transaction may be open on it.
    fn is_dirty(&self) -> bool;

    /// Whether its time is up, so that it is closed when it comes back.
    fn is_old(&self, now: Moment) -> bool;
}

/// A lease of one slot.
#[derive(Debug)]
pub struct Lease<C> {
    /// On whose behalf.
    pub owner: OwnerId,
    /// Which lease this is.
    pub ticket: Ticket,
    /// Since when.
    pub since: Moment,
    /// Whether a statement has been sent in this lease.
    pub used: bool,
    /// Whether a block has it, and gives it back at its end.
    pub lent_to_block: bool,
    /// Whether it was reported for its age.
    pub reported: bool,
    /// The connection; none while a statement of this lease has it, and none after it broke.
    pub(super) connection: Option<C>,
    pub(super) broken: bool,
}

impl<C> Lease<C> {
    /// The connection; none while a statement of this lease has it, and none after it broke.
    pub fn connection(&self) -> Option<&C> {
        self.connection.as_ref()
    }
}

#[derive(Debug)]
pub(super) enum Slot<C> {
    Empty,
    Opening,
    Idle { connection: C, since: Moment },
    Leased(Lease<C>),
    Away,
}

/// What became of a checkout.
#[derive(Debug, PartialEq, Eq)]
pub enum Checkout {
    /// The slot is this owner's from now on.
    Leased(SlotId),
    /// It had one already.
    Again(SlotId),
    /// None is idle.
    NoneIdle,
    /// The pool is closed.
    Closed,
}

/// What is to be done with a connection that has come back, or been taken out.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<C> {
    /// Nothing: it is idle, or it was nobody's.
    Done,
    /// The waiter with this ticket has it, and is to be woken.
    Handed(Ticket),
    /// It has left the pool and is to be closed; the slot is empty.
    Close(C),
    /// The slot is empty, for its connection broke before.
    Vacant,
    /// It is to be cleaned by the background, which says `cleaned` or `vacate` afterwards.
    Clean(SlotId, C),
    /// Its time is up: it is to be closed by the background, which says `vacate` afterwards.
    Retire(SlotId, C),
}

/// Why a slot's connection cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The slot is not this owner's.
    NotLeased,
    /// A statement of this lease has it.
    Busy,
    /// It is gone: it broke in this lease.
    Broken,
}

/// How many slots are in which state, and how many wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    /// The most there can be.
    pub size: usize,
    /// Open and free.
    pub idle: usize,
    /// In somebody's hands.
    pub leased: usize,
    /// A connect is under way.
    pub opening: usize,
    /// Being cleaned in the background.
    pub away: usize,
    /// Owners that wait.
    pub waiting: usize,
}

impl std::fmt::Display for Numbers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Numbers {
            size,
            idle,
            leased,
            opening,
            away,
            waiting,
        } = self;
        write!(
            formatter,
            "{leased} of {size} leased, {idle} idle, {opening} opening, {away} being cleaned, {waiting} waiting"
        )
    }
}
