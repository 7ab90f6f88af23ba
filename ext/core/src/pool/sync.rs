//! What the pool's parts share between threads. The model of their interleavings puts its own in this place.

pub(super) use std::sync::atomic::{AtomicUsize, Ordering};
pub(super) use std::sync::Arc;
