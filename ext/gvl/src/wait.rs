//! Waiting without the GVL.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;
use std::time::{Duration, Instant};

use magnus::{Error, Ruby};

use crate::signal::Signal;

/// An interrupt that becomes pending between the last check and the start of a wait would leave the wait stranded: no
/// slice is longer than this.
const SLICE: Duration = Duration::from_millis(500);

/// What a slice needs without the GVL.
struct Slice<'a> {
    signal: &'a Signal,
    limit: Duration,
}

/// Waits until `ready` answers or `timeout` has passed, without the GVL, interruptible at any time.
///
/// `ready` is asked with the GVL held; whoever makes it true posts the signal. A wake-up may mean only that a signal
/// arrived, hence the loop.
///
/// # Errors
///
/// What an interrupt raises (Timeout, Thread#kill, Thread#raise, a trap handler), after the wait is over: it is
/// returned, so that every Rust frame is left in order.
pub fn wait<T>(
    ruby: &Ruby,
    signal: &Arc<Signal>,
    timeout: Duration,
    mut ready: impl FnMut() -> Option<T>,
) -> Result<Option<T>, Error> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(value) = ready() {
            return Ok(Some(value));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        without_gvl(&Slice {
            signal,
            limit: left.min(SLICE),
        });
        ruby.thread_check_ints()?;
    }
}

fn without_gvl(slice: &Slice<'_>) {
    let flags = rb_sys::RB_NOGVL_INTR_FAIL | rb_sys::RB_NOGVL_UBF_ASYNC_SAFE;
    // SAFETY: both functions get pointers that outlive the call, for `rb_nogvl` clears the unblock function under its
    // lock before it returns. With RB_NOGVL_INTR_FAIL it neither runs interrupts nor jumps: it only returns early.
    unsafe {
        rb_sys::rb_nogvl(
            Some(run),
            std::ptr::from_ref(slice).cast_mut().cast(),
            Some(unblock),
            std::ptr::from_ref(slice.signal).cast_mut().cast(),
            flags as i32,
        );
    }
}

unsafe extern "C" fn run(slice: *mut c_void) -> *mut c_void {
    // SAFETY: `without_gvl` passes a Slice that it borrows for the whole call. Nothing in `wait` panics.
    let slice = unsafe { &*slice.cast::<Slice<'_>>() };
    slice.signal.wait(slice.limit);
    null_mut()
}

unsafe extern "C" fn unblock(signal: *mut c_void) {
    // SAFETY: `without_gvl` passes a Signal that lives until Ruby has cleared this function. It may run on any thread
    // and in a signal handler: `post` is one system call.
    unsafe { &*signal.cast::<Signal>() }.post();
}
