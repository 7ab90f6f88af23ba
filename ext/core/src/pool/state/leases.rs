//! What becomes of a lease: its statements, and its end.

use std::time::Duration;

use super::super::slot::{Lease, Outcome, Refused, Slot, SlotId, Standing, Ticket};
use super::State;
use crate::clock::Moment;
use crate::owner::OwnerId;

impl<C: Standing> State<C> {
    /// Ends an owner's lease. One whose statement is still under way goes on without it: whoever brings the connection
    /// back is told to clean it.
    pub fn release(&mut self, owner: OwnerId, now: Moment) -> Outcome<C> {
        let Some(slot) = self.by_owner.remove(&owner) else {
            return Outcome::Done;
        };
        self.count.set(self.by_owner.len());
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
}
