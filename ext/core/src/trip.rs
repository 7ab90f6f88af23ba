//! Panics on demand: what a panic leaves behind can only be shown where one happens, and none does by itself. And
//! mechanisms that are switched off, so that their specs can be seen to fail.
//!
//! Only specs build the library with the feature `trip`; without it, as in every gem, nothing of this is in it.

#[cfg(feature = "trip")]
pub use armed::{arm, frames, here, off, switch_off, tripped, Frame};

/// A place where a spec may want a panic.
#[cfg(not(feature = "trip"))]
#[inline(always)]
pub fn here(_place: &'static str) {}

/// Whether a mechanism is switched off, which only the library for specs can be told.
#[cfg(not(feature = "trip"))]
#[inline(always)]
pub fn off(_mechanism: &'static str) -> bool {
    false
}

/// A frame that Ruby must not jump over; only the library for specs counts them.
#[cfg(not(feature = "trip"))]
#[derive(Debug)]
pub struct Frame(());

#[cfg(not(feature = "trip"))]
impl Frame {
    /// Begins with the frame, and ends with it.
    #[inline(always)]
    pub fn enter() -> Self {
        Frame(())
    }
}

#[cfg(feature = "trip")]
mod armed {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::sync::Mutex;
    use std::thread::{current, ThreadId};

    use crate::lock::lock;

    static PLACES: Mutex<BTreeMap<String, Place>> = Mutex::new(BTreeMap::new());
    static OFF: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    static FRAMES: AtomicI64 = AtomicI64::new(0);

    #[derive(Default)]
    struct Place {
        skip: u64,
        left: u64,
        only: Option<ThreadId>,
        tripped: u64,
    }

    /// From now on whoever comes to this place panics, so many times, after so many have passed; with `here` only this
    /// thread counts.
    pub fn arm(place: &str, skip: u64, times: u64, here: bool) {
        let mut places = lock(&PLACES);
        let place = places.entry(place.to_owned()).or_default();
        place.skip = skip;
        place.left = times;
        place.only = here.then(|| current().id());
    }

    /// How often somebody has panicked at a place.
    pub fn tripped(place: &str) -> u64 {
        lock(&PLACES).get(place).map_or(0, |place| place.tripped)
    }

    /// A place where a spec may want a panic.
    ///
    /// # Panics
    ///
    /// Where a spec has armed the place.
    pub fn here(place: &'static str) {
        assert!(!trips(place), "tripped at {place}");
    }

    fn trips(name: &str) -> bool {
        let mut places = lock(&PLACES);
        let Some(place) = places.get_mut(name) else {
            return false;
        };
        if place.left == 0 || place.only.is_some_and(|only| only != current().id()) {
            return false;
        }
        if place.skip > 0 {
            place.skip -= 1;
            return false;
        }
        place.left -= 1;
        place.tripped += 1;
        true
    }

    /// From now on a mechanism does nothing.
    pub fn switch_off(mechanism: &str) {
        lock(&OFF).insert(mechanism.to_owned());
    }

    /// Whether a mechanism is switched off.
    pub fn off(mechanism: &'static str) -> bool {
        lock(&OFF).contains(mechanism)
    }

    /// How many frames are alive: those whose destructor has not run yet, and those whose destructor never will.
    pub fn frames() -> i64 {
        FRAMES.load(Ordering::SeqCst)
    }

    /// A frame that Ruby must not jump over.
    #[derive(Debug)]
    pub struct Frame(());

    impl Frame {
        /// Begins with the frame, and ends with it.
        pub fn enter() -> Self {
            FRAMES.fetch_add(1, Ordering::SeqCst);
            Frame(())
        }
    }

    impl Drop for Frame {
        fn drop(&mut self) {
            FRAMES.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
