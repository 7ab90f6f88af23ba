//! The guard around every entry, and the exception classes.

use magnus::value::Lazy;
use magnus::{Error, ExceptionClass, Module, RModule, Ruby};
use poolkeeper_core::trip;

static INTERNAL_ERROR: Lazy<ExceptionClass> = Lazy::new(|ruby| {
    let class = ruby
        .class_object()
        .const_get::<_, RModule>("Poolkeeper")
        .and_then(|module| module.const_get("InternalError"));
    // `init` has looked: only an application that removes the constant gets here.
    class.unwrap_or_else(|_| ruby.exception_runtime_error())
});

/// Runs `body`; a panic in it becomes `Poolkeeper::InternalError`.
pub fn guarded<T>(ruby: &Ruby, body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    poolkeeper_gvl::guarded(
        || ruby.get_inner(&INTERNAL_ERROR),
        || {
            let _frame = trip::Frame::enter();
            trip::here("entry");
            body()
        },
    )
}

/// An error of the core as an exception.
pub fn to_ruby(ruby: &Ruby, error: &poolkeeper_core::Error) -> Error {
    Error::new(ruby.get_inner(&INTERNAL_ERROR), error.to_string())
}

/// Looks the classes up, so that a missing one shows when the gem is loaded.
pub fn init(ruby: &Ruby) -> Result<(), Error> {
    let module: RModule = ruby.class_object().const_get("Poolkeeper")?;
    module.const_get::<_, ExceptionClass>("InternalError")?;
    Lazy::force(&INTERNAL_ERROR, ruby);
    Ok(())
}
