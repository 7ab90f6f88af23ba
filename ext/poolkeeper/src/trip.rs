//! `Poolkeeper::Trip`: panics on demand. Only in the library for specs.

use std::time::Duration;

use magnus::{function, Error, Module, Object, RModule, Ruby};
use poolkeeper_core::trip;
use poolkeeper_gvl::Signal;

/// Not guarded, as is nothing in here: it would be the next to trip.
fn arm(place: String, skip: u64, times: u64, here: bool) {
    trip::arm(&place, skip, times, here);
}

fn off(mechanism: String) {
    trip::switch_off(&mechanism);
}

fn tripped(place: String) -> u64 {
    trip::tripped(&place)
}

fn frames() -> i64 {
    trip::frames()
}

/// Waits in a way that lets Ruby jump over this frame.
fn be_jumped_over(ruby: &Ruby, seconds: f64) -> Result<(), Error> {
    let signal = Signal::new().map_err(|error| Error::new(ruby.exception_runtime_error(), error.to_string()))?;
    let _frame = trip::Frame::enter();
    poolkeeper_gvl::wait_and_be_jumped_over(&signal, Duration::from_secs_f64(seconds));
    Ok(())
}

pub fn init(_ruby: &Ruby, module: RModule) -> Result<(), Error> {
    let trip = module.define_module("Trip")?;
    trip.define_singleton_method("_arm", function!(arm, 4))?;
    trip.define_singleton_method("_off", function!(off, 1))?;
    trip.define_singleton_method("_tripped", function!(tripped, 1))?;
    trip.define_singleton_method("_frames", function!(frames, 0))?;
    trip.define_singleton_method("_be_jumped_over", function!(be_jumped_over, 1))?;
    Ok(())
}
