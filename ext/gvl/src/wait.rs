//! Waiting without the GVL.

use std::any::Any;
use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::ptr::null_mut;
use std::sync::Arc;
use std::time::{Duration, Instant};

use magnus::value::ReprValue;
use magnus::{Error, KwArgs, Module, RClass, Ruby, Value};
use poolkeeper_core::trip;

use crate::signal::Signal;

/// An interrupt that becomes pending between the last check and the start of a wait would leave the wait stranded: no
/// slice is longer than this.
const SLICE: Duration = Duration::from_millis(500);

/// With RB_NOGVL_INTR_FAIL `rb_nogvl` neither runs interrupts nor jumps: it only returns early.
const FLAGS: u32 = rb_sys::RB_NOGVL_INTR_FAIL | rb_sys::RB_NOGVL_UBF_ASYNC_SAFE;

/// What a slice needs without the GVL, and the panic it ended with.
struct Slice<'a> {
    signal: &'a Signal,
    limit: Duration,
    panic: Cell<Option<Box<dyn Any + Send>>>,
}

impl<'a> Slice<'a> {
    fn new(signal: &'a Signal, limit: Duration) -> Self {
        Slice {
            signal,
            limit,
            panic: Cell::new(None),
        }
    }
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
    let deadline = Instant::now().checked_add(timeout);
    loop {
        if let Some(value) = ready() {
            return Ok(Some(value));
        }
        let left = deadline.map_or(SLICE, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(None);
        }
        without_gvl(&Slice::new(signal, left.min(SLICE)), FLAGS);
        // First: what has come is not thrown away for an interrupt, which Ruby raises as soon as it may.
        if let Some(value) = ready() {
            return Ok(Some(value));
        }
        ruby.thread_check_ints()?;
    }
}

/// The same, but where a fiber scheduler runs the other fibers of this thread go on meanwhile.
///
/// # Errors
///
/// As [`wait`]; and what the scheduler raises.
pub fn wait_for<T>(
    ruby: &Ruby,
    signal: &Arc<Signal>,
    timeout: Duration,
    mut ready: impl FnMut() -> Option<T>,
) -> Result<Option<T>, Error> {
    let fibers: RClass = ruby.class_object().const_get("Fiber")?;
    // Nil in a fiber that may block.
    if fibers.funcall::<_, _, Value>("current_scheduler", ())?.is_nil() {
        return wait(ruby, signal, timeout, ready);
    }
    let options = ruby.hash_new();
    options.aset(ruby.to_symbol("autoclose"), false)?;
    let io: Value = ruby.class_io().funcall("for_fd", (signal.reader(), KwArgs(options)))?;
    let deadline = Instant::now().checked_add(timeout);
    loop {
        if let Some(value) = ready() {
            return Ok(Some(value));
        }
        let left = deadline.map_or(SLICE, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(None);
        }
        io.funcall::<_, _, Value>("wait_readable", (left.min(SLICE).as_secs_f64(),))?;
        signal.clear();
    }
}

/// The wrong way to wait, by which specs show that a frame which is jumped over is noticed: without RB_NOGVL_INTR_FAIL
/// Ruby handles interrupts inside of `rb_nogvl`, and a raise or a kill leaves from there.
#[cfg(feature = "trip")]
pub fn wait_and_be_jumped_over(signal: &Signal, limit: Duration) {
    without_gvl(&Slice::new(signal, limit), rb_sys::RB_NOGVL_UBF_ASYNC_SAFE);
}

fn without_gvl(slice: &Slice<'_>, flags: u32) {
    // SAFETY: both functions get pointers that outlive the call, for `rb_nogvl` clears the unblock function under its
    // lock before it returns.
    unsafe {
        rb_sys::rb_nogvl(
            Some(run),
            std::ptr::from_ref(slice).cast_mut().cast(),
            Some(unblock),
            std::ptr::from_ref(slice.signal).cast_mut().cast(),
            flags as i32,
        );
    }
    if let Some(panic) = slice.panic.take() {
        resume_unwind(panic);
    }
}

unsafe extern "C" fn run(slice: *mut c_void) -> *mut c_void {
    // SAFETY: `without_gvl` passes a Slice that it borrows for the whole call, and looks at it again only afterwards.
    let slice = unsafe { &*slice.cast::<Slice<'_>>() };
    // A panic that left a function which C has called would end the process: it goes on behind Ruby's back.
    let waited = catch_unwind(AssertUnwindSafe(|| {
        trip::here("waiting");
        slice.signal.wait(slice.limit);
    }));
    slice.panic.set(waited.err());
    null_mut()
}

unsafe extern "C" fn unblock(signal: *mut c_void) {
    // SAFETY: `without_gvl` passes a Signal that lives until Ruby has cleared this function. It may run on any thread
    // and in a signal handler: `post` is one system call.
    let signal = unsafe { &*signal.cast::<Signal>() };
    // As in `run`. A wake-up that is lost is made good by the end of the slice.
    let _ = catch_unwind(|| {
        trip::here("unblocking");
        signal.post();
    });
}
