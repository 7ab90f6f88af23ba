//! Signals to wait with, lent for the length of a wait. Opening one for each wait would cost four system calls.

use std::sync::{Arc, Mutex, PoisonError};

use crate::signal::Signal;

/// More idle signals than this are closed: threads that wait at the same time are rarely more.
const KEPT: usize = 64;

/// The idle signals of the process that they were opened in.
static IDLE: Mutex<(u32, Vec<Arc<Signal>>)> = Mutex::new((0, Vec::new()));

/// A signal for one wait.
#[derive(Debug)]
pub struct Lent {
    signal: Option<Arc<Signal>>,
    process: u32,
}

impl Lent {
    /// Lends an idle one, or opens one. To be called with the GVL held, as is the end of the loan: no fork can come
    /// while the list is locked.
    ///
    /// # Errors
    ///
    /// Where the process may not open two more descriptors.
    pub fn new() -> std::io::Result<Self> {
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if idle.0 != process {
            let inherited = std::mem::take(&mut idle.1);
            idle.0 = process;
            for signal in inherited {
                // A pipe that parent and child both read from would lose wake-ups. What could not be renewed may be
                // somebody else's descriptors by now: never closed.
                match signal.renew() {
                    Ok(true) => idle.1.push(signal),
                    Ok(false) | Err(_) => std::mem::forget(signal),
                }
            }
        }
        let signal = match idle.1.pop() {
            Some(signal) => signal,
            None => Arc::new(Signal::new()?),
        };
        Ok(Lent {
            signal: Some(signal),
            process,
        })
    }

    /// The signal.
    pub fn signal(&self) -> &Arc<Signal> {
        // It is there until the drop.
        #[allow(clippy::expect_used)]
        self.signal.as_ref().expect("a lent signal")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(signal) = self.signal.take() else {
            return;
        };
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        // One that was lent before a fork is the parent's, whoever has asked here since.
        if idle.0 == self.process && self.process == std::process::id() && idle.1.len() < KEPT {
            idle.1.push(signal);
        }
    }
}
