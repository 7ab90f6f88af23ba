//! The guard around every entry, and the exception classes.

use magnus::value::{Lazy, ReprValue, Value};
use magnus::{Error, ExceptionClass, Module, RModule, Ruby};
use poolkeeper_core::{process, trip};
use poolkeeper_gvl::fork;

static INTERNAL_ERROR: Lazy<ExceptionClass> = Lazy::new(|ruby| {
    let class = ruby
        .class_object()
        .const_get::<_, RModule>("Poolkeeper")
        .and_then(|module| module.const_get("InternalError"));
    // `init` has looked: only an application that removes the constant gets here.
    class.unwrap_or_else(|_| ruby.exception_runtime_error())
});

/// Runs `body`; a panic in it becomes `Poolkeeper::InternalError`.
///
/// In a child that no hook has announced Ruby starts clean first: nothing of the parent's is looked at there.
pub fn guarded<T>(ruby: &Ruby, body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    guarded_as_known(ruby, || {
        if fork::untold() {
            stray(ruby)?;
        }
        body()
    })
}

/// The same for the entry by which Ruby says that it knows of the fork.
pub fn guarded_as_known<T>(ruby: &Ruby, body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    poolkeeper_gvl::guarded(
        || ruby.get_inner(&INTERNAL_ERROR),
        || {
            let _frame = trip::Frame::enter();
            trip::here("entry");
            body()
        },
    )
}

fn stray(ruby: &Ruby) -> Result<(), Error> {
    // First: Ruby comes back here by way of other entries, and what fails must not begin again at each of them.
    fork::told();
    process::forked();
    let module: RModule = ruby.class_object().const_get("Poolkeeper")?;
    let hook: RModule = module.const_get("ForkHook")?;
    hook.funcall::<_, _, Value>("stray", ())?;
    Ok(())
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
    fork::told();
    Ok(())
}
