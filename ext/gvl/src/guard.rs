//! Panics become ordinary exceptions.

use std::panic::{catch_unwind, AssertUnwindSafe};

use magnus::{Error, ExceptionClass};
use poolkeeper_core::panic::words;

/// Runs `body`, and turns a panic into an exception of `class`, which Ruby code can rescue.
///
/// # Errors
///
/// What `body` returns, or the panic as an exception of `class`.
pub fn guarded<T>(class: impl FnOnce() -> ExceptionClass, body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // The state behind our locks is valid at every step, and the locks ignore poison.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let said = words(panic.as_ref());
        let text = format!("poolkeeper failed: {said}; please report this, the pools remain usable");
        Err(Error::new(class(), text))
    })
}
