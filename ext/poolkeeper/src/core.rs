//! `Poolkeeper::Core`: what belongs to this process.

use std::time::Duration;

use magnus::{function, Error, Object, RModule, Ruby};
use poolkeeper_core::process;
use poolkeeper_gvl::fork;

use crate::guard::{guarded, guarded_as_known};
use magnus::Module;

/// Starts clean in a forked child; answers whether this is one that had not done so yet.
fn forked(ruby: &Ruby) -> Result<bool, Error> {
    guarded_as_known(ruby, || {
        let untold = fork::untold();
        if untold {
            // What fails here is to be tried again: a second time it does no harm.
            process::forked();
            fork::told();
        }
        Ok(untold)
    })
}

/// Does nothing, as every entry does it: a child that no hook has announced starts clean.
fn look(ruby: &Ruby) -> Result<(), Error> {
    guarded(ruby, || Ok(()))
}

fn want_watch(ruby: &Ruby, wanted: bool) -> Result<(), Error> {
    guarded(ruby, || {
        process::current().want_watch(wanted);
        Ok(())
    })
}

/// Has leases of observed pools reported that are older than so many seconds; none where it is nil.
fn leak_threshold(ruby: &Ruby, seconds: Option<f64>) -> Result<(), Error> {
    guarded(ruby, || {
        let threshold = seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        process::current().want_leak_reports(threshold);
        Ok(())
    })
}

/// Connections and owners remembered, events dropped, sockets not watched.
fn sizes(ruby: &Ruby) -> Result<(usize, usize, u64, u64), Error> {
    guarded(ruby, || {
        let process = process::current();
        let (connections, owners) = process.mirror(|mirror| mirror.sizes());
        Ok((connections, owners, process.events.dropped(), process.unwatched()))
    })
}

pub fn init(_ruby: &Ruby, module: RModule) -> Result<(), Error> {
    let core = module.define_module("Core")?;
    core.define_singleton_method("_forked", function!(forked, 0))?;
    core.define_singleton_method("_look", function!(look, 0))?;
    core.define_singleton_method("_want_watch", function!(want_watch, 1))?;
    core.define_singleton_method("_leak_threshold", function!(leak_threshold, 1))?;
    core.define_singleton_method("_sizes", function!(sizes, 0))?;
    Ok(())
}
