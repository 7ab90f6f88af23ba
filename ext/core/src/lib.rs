//! The logic of poolkeeper. Nothing in here knows that Ruby exists: adapters and owners are numbers.
//!
//! Imports run one way: `process` -> `pool`, `observed`, `host` -> `backend` -> `sql`, `watch`, `socket`, `fault`, `event`.
//! Locks are taken in that order too (`Process::collecting`, then a native pool's, `observed`, `host`, `event`), and none
//! is held across a wait.

#![deny(unsafe_code)]

pub mod backend;
pub mod clock;
pub mod error;
pub mod event;
pub mod fault;
pub mod host;
pub mod observed;
pub mod owner;
pub mod panic;
pub mod pool;
pub mod process;
#[allow(unsafe_code)]
pub mod socket;
pub mod sql;
pub mod stats;
pub mod trip;
#[allow(unsafe_code)]
pub mod watch;

mod lock;

pub use error::Error;
