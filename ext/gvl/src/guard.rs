//! Panics become ordinary exceptions.

use std::any::Any;
use std::panic::{catch_unwind, AssertUnwindSafe};

use magnus::{Error, ExceptionClass};

/// Runs `body`, and turns a panic into an exception of `class`, which Ruby code can rescue.
///
/// # Errors
///
/// What `body` returns, or the panic as an exception of `class`.
pub fn guarded<T>(class: impl FnOnce() -> ExceptionClass, body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // The state behind our locks is valid at every step, and the locks ignore poison.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(Error::new(class(), text(panic.as_ref()))))
}

fn text(panic: &(dyn Any + Send)) -> String {
    let said = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown panic".to_owned());
    format!("poolkeeper failed: {said}; please report this, the pools remain usable")
}
