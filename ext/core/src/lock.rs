//! A lock that a panic does not poison: the pools stay usable after a bug of ours.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock whether or not an earlier holder panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
