//! The logic of poolkeeper. Nothing in here knows that Ruby exists: adapters and owners are numbers.
//!
//! Imports run one way: `process` -> `observed`, `host` -> `watch`, `socket`, `fault`, `event`.
//! Locks are taken in that order too (`Process::collecting`, then `observed`, `host`, `event`), and none is held across a
//! wait.

#![deny(unsafe_code)]

pub mod error;
pub mod event;
pub mod fault;
pub mod host;
pub mod observed;
pub mod owner;
pub mod panic;
pub mod process;
#[allow(unsafe_code)]
pub mod socket;
pub mod stats;
pub mod trip;
#[allow(unsafe_code)]
pub mod watch;

mod lock;

pub use error::Error;
