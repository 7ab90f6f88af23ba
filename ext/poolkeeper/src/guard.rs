//! The guard around every entry, and the exception classes.

use magnus::value::{Lazy, ReprValue, Value};
use magnus::{Class, Error, ExceptionClass, Module, Object, RModule, RObject, Ruby, TryConvert};
use poolkeeper_core::error::Error as CoreError;
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

/// An error of the core as an exception of its class, with what it carries.
pub fn to_ruby(ruby: &Ruby, error: &CoreError) -> Error {
    exception(ruby, error).unwrap_or_else(|failed| failed)
}

fn exception(ruby: &Ruby, error: &CoreError) -> Result<Error, Error> {
    let (name, pool, cause) = match error {
        CoreError::Configuration(_) => ("ConfigurationError", None, None),
        CoreError::Timeout { pool, .. } => ("TimeoutError", Some(pool), None),
        CoreError::Closed { pool } => ("PoolClosedError", Some(pool), None),
        CoreError::HostDown { pool, cause, .. } => ("HostDownError", Some(pool), Some(cause)),
        CoreError::Connection { pool, cause, .. } => ("ConnectionError", Some(pool), Some(cause)),
        CoreError::ReadOnly { pool, cause, .. } => ("ReadOnlyError", Some(pool), Some(cause)),
        CoreError::Query { pool, cause } => ("QueryError", Some(pool), Some(cause)),
        CoreError::NotHeld { pool, .. } => ("NotHeldError", Some(pool), None),
        _ => return Ok(Error::new(ruby.get_inner(&INTERNAL_ERROR), error.to_string())),
    };
    let module: RModule = ruby.class_object().const_get("Poolkeeper")?;
    let class: ExceptionClass = module.const_get(name)?;
    let exception = class.new_instance((error.to_string(),))?;
    let facts = RObject::try_convert(exception.as_value())?;
    facts.ivar_set("@pool", pool.map(String::as_str))?;
    if let Some(cause) = cause {
        facts.ivar_set("@sqlstate", cause.sqlstate.as_deref())?;
        facts.ivar_set("@errno", cause.number)?;
    }
    if let CoreError::Timeout { step, .. } = error {
        facts.ivar_set("@step", ruby.to_symbol(step.as_str()))?;
    }
    Ok(Error::from(exception))
}

/// Looks the classes up, so that a missing one shows when the gem is loaded.
pub fn init(ruby: &Ruby) -> Result<(), Error> {
    let module: RModule = ruby.class_object().const_get("Poolkeeper")?;
    module.const_get::<_, ExceptionClass>("InternalError")?;
    Lazy::force(&INTERNAL_ERROR, ruby);
    fork::told();
    Ok(())
}
