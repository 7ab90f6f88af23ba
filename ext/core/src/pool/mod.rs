//! Pools that poolkeeper opens itself: what they are and every step between their states. What is done about a step, on
//! the network and in the background, is in `process::native`.

mod options;
mod slot;
mod state;
mod sync;
#[cfg(test)]
mod tests;
mod waiting;

pub use options::Options;
pub use slot::{Checkout, Lease, Numbers, Outcome, Refused, SlotId, Standing, Ticket};
pub use state::{LeaseCount, State};
pub use waiting::{Waiting, Waker};
