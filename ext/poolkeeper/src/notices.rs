//! `Poolkeeper::Notices`: events on their way to the thread that carries them to Ruby.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use magnus::{function, Error, IntoValue, Module, Object, RModule, Ruby, Value};
use poolkeeper_core::event::{Event, Notice};
use poolkeeper_core::process::{self, Process};
use poolkeeper_gvl::Signal;

use crate::guard::{guarded, to_ruby};

/// The signal of the process it was made in, known by that process's address: it is never freed.
static SIGNAL: Mutex<Option<(usize, Arc<Signal>)>> = Mutex::new(None);

fn signal(ruby: &Ruby, process: &'static Process) -> Result<Arc<Signal>, Error> {
    let failed = |error: std::io::Error| to_ruby(ruby, &poolkeeper_core::Error::Watch(error.to_string()));
    // Only ever locked with the GVL held and for no wait, so no fork can catch it locked.
    let mut known = SIGNAL.lock().unwrap_or_else(PoisonError::into_inner);
    let address = std::ptr::from_ref(process) as usize;
    if let Some((owner, signal)) = &*known {
        if *owner == address {
            return Ok(signal.clone());
        }
    }
    let signal = match known.take() {
        Some((_, inherited)) if inherited.renew().map_err(failed)? => inherited,
        other => {
            // Its numbers are somebody else's.
            std::mem::forget(other);
            Arc::new(Signal::new().map_err(failed)?)
        }
    };
    let waker = signal.clone();
    process.events.wake_with(Arc::new(move || waker.post()));
    *known = Some((address, signal.clone()));
    Ok(signal)
}

/// Waits for the next event, at most so many seconds: nil, the number of a connection to evict, one in an Array whose
/// socket is to be looked at, a Hash; or for a lease that is older than it is to be an Array of its pool, its connection
/// (nil where the pool is native), owner and seconds.
fn next(ruby: &Ruby, seconds: f64) -> Result<Value, Error> {
    guarded(ruby, || {
        let process = process::current();
        let signal = signal(ruby, process)?;
        let timeout = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(1));
        let event = poolkeeper_gvl::wait(ruby, &signal, timeout, || process.events.pop())?;
        match event {
            None => Ok(ruby.qnil().into_value_with(ruby)),
            Some(Event::Evict(connection)) => Ok(connection.into_value_with(ruby)),
            Some(Event::Refresh(connection)) => Ok(ruby.ary_from_vec(vec![connection]).into_value_with(ruby)),
            Some(Event::Notice(notice)) => hash(ruby, &notice),
            Some(Event::Overdue(lease)) => {
                Ok((lease.pool, lease.connection, lease.owner, lease.seconds).into_value_with(ruby))
            }
        }
    })
}

fn hash(ruby: &Ruby, notice: &Notice) -> Result<Value, Error> {
    let hash = ruby.hash_new();
    hash.aset(ruby.to_symbol("name"), notice.name.as_str())?;
    hash.aset(ruby.to_symbol("pool"), notice.pool)?;
    hash.aset(ruby.to_symbol("host"), notice.host.as_deref())?;
    hash.aset(ruby.to_symbol("owner"), notice.owner)?;
    let job = notice.job.as_ref();
    hash.aset(ruby.to_symbol("topic"), job.and_then(|job| job.topic.as_deref()))?;
    hash.aset(ruby.to_symbol("partition"), job.and_then(|job| job.partition))?;
    hash.aset(ruby.to_symbol("seconds"), notice.seconds)?;
    hash.aset(ruby.to_symbol("count"), notice.count)?;
    hash.aset(ruby.to_symbol("reason"), notice.reason.as_deref())?;
    hash.aset(ruby.to_symbol("reported"), notice.reported)?;
    hash.aset(ruby.to_symbol("stack"), notice.stack.clone())?;
    Ok(hash.into_value_with(ruby))
}

/// Adds an event that Ruby noticed.
#[allow(clippy::too_many_arguments)]
fn notify(
    ruby: &Ruby,
    name: String,
    pool: Option<u64>,
    owner: Option<u64>,
    seconds: Option<f64>,
    reason: Option<String>,
    reported: bool,
    stack: Option<Vec<String>>,
) -> Result<(), Error> {
    guarded(ruby, || {
        let process = process::current();
        let host = pool.and_then(|pool| process.mirror(|mirror| mirror.host_of_pool(pool)));
        process.notify(Notice {
            name,
            pool,
            owner,
            seconds,
            count: None,
            reason,
            reported,
            stack,
            host: host.map(|host| host.to_string()),
            job: None,
        });
        Ok(())
    })
}

pub fn init(_ruby: &Ruby, module: RModule) -> Result<(), Error> {
    let notices = module.define_module("Notices")?;
    notices.define_singleton_method("_next", function!(next, 1))?;
    notices.define_singleton_method("_notify", function!(notify, 7))?;
    Ok(())
}
