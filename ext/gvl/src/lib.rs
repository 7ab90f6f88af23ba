//! Everything that is unsafe about Ruby: waiting without the GVL, interrupts, forks, the panic guard.
//!
//! Three rules that were each learnt by a crash: no Rust frame is jumped over, every wait can be interrupted, and no
//! panic reaches magnus, which would turn it into an exception that nothing rescues.

pub mod fork;
mod guard;
mod owner;
mod signal;
mod signals;
mod wait;

pub use guard::guarded;
pub use owner::{owner, Owner};
pub use signal::Signal;
pub use signals::Lent;
#[cfg(feature = "trip")]
pub use wait::wait_and_be_jumped_over;
pub use wait::{wait, wait_for};
