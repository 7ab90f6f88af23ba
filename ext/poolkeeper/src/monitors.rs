//! `Poolkeeper::Monitors`: deadlines of sockets, and who watches over hosts.

use std::time::Duration;

use magnus::{function, Error, Module, Object, RModule, Ruby};
use poolkeeper_core::host::Settings;
use poolkeeper_core::process;

use crate::guard::guarded;

/// Beyond it nobody waits.
const LONGEST: Duration = Duration::from_secs(86_400 * 365);

fn seconds(time: f64) -> Duration {
    Duration::try_from_secs_f64(time).map_or(LONGEST, |time| time.min(LONGEST))
}

/// Seconds, but for the failures; without a first one nobody is watched over.
fn want(ruby: &Ruby, after: Option<f64>, interval: f64, timeout: f64, failures: u32) -> Result<(), Error> {
    guarded(ruby, || {
        let settings = after.map(|after| Settings {
            after: seconds(after),
            interval: seconds(interval),
            timeout: seconds(timeout),
            failures,
        });
        process::current().want_monitors(settings);
        Ok(())
    })
}

/// Seconds; nil leaves sockets alone.
fn deadline(ruby: &Ruby, time: Option<f64>) -> Result<(), Error> {
    guarded(ruby, || {
        process::current().want_deadline(time.map(seconds));
        Ok(())
    })
}

fn report(ruby: &Ruby, reporting: bool) -> Result<(), Error> {
    guarded(ruby, || {
        process::current().report_only(reporting);
        Ok(())
    })
}

/// By what the monitors of an observed pool's servers go.
fn credentials(ruby: &Ruby, pool: u64, url: String) -> Result<(), Error> {
    guarded(ruby, || {
        process::current().credentials(pool, url);
        Ok(())
    })
}

/// The socket of a lease that has become long, by the number of its descriptor.
fn refresh(ruby: &Ruby, connection: u64, descriptor: i32) -> Result<bool, Error> {
    guarded(ruby, || Ok(process::current().refresh(connection, descriptor)))
}

pub fn init(_ruby: &Ruby, module: RModule) -> Result<(), Error> {
    let monitors = module.define_module("Monitors")?;
    monitors.define_singleton_method("_want", function!(want, 4))?;
    monitors.define_singleton_method("_deadline", function!(deadline, 1))?;
    monitors.define_singleton_method("_report", function!(report, 1))?;
    monitors.define_singleton_method("_credentials", function!(credentials, 2))?;
    monitors.define_singleton_method("_refresh", function!(refresh, 2))?;
    Ok(())
}
