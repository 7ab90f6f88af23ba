//! How those who wait are told what has become of their place in the queue.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::slot::Ticket;
use crate::error::Error;

/// How whoever waits is woken.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

struct Entry {
    wake: Waker,
    /// Why there will be none.
    refused: Option<Error>,
}

/// Everybody who has a ticket and has not been answered. It is kept under the same lock as the pool's state.
#[derive(Default)]
pub struct Waiting(FxHashMap<Ticket, Entry>);

impl Waiting {
    /// Somebody begins to wait.
    pub fn enter(&mut self, ticket: Ticket, wake: Waker) {
        self.0.insert(ticket, Entry { wake, refused: None });
    }

    /// Somebody waits no longer.
    pub fn leave(&mut self, ticket: Ticket) {
        self.0.remove(&ticket);
    }

    /// How to wake somebody, who is called without the lock.
    pub fn waker(&self, ticket: Ticket) -> Option<Waker> {
        self.0.get(&ticket).map(|entry| entry.wake.clone())
    }

    /// Notes why there will be none for these, who are out of the queue. Returns how to wake them.
    #[must_use]
    pub fn refuse(&mut self, tickets: &[Ticket], error: &Error) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for ticket in tickets {
            if let Some(entry) = self.0.get_mut(ticket) {
                entry.refused = Some(error.clone());
                wakers.push(entry.wake.clone());
            }
        }
        wakers
    }

    /// Why there will be none, which is told once.
    pub fn refusal(&mut self, ticket: Ticket) -> Option<Error> {
        let refused = self.0.get_mut(&ticket)?.refused.take()?;
        self.leave(ticket);
        Some(refused)
    }
}
