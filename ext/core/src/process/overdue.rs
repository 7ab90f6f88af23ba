//! Leases that are out for longer than they are to be. Those of observed pools have a timer, which runs only while
//! reports are wanted and a lease is out; native pools look at theirs in their own upkeep.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{sleep, timeout_at};

use super::Process;
use crate::event::{Event, Notice};
use crate::panic::words;
use crate::trip;

/// Sooner than that nobody wants to hear of a lease.
const LEAST: Duration = Duration::from_millis(1);
/// A bug of ours is told ten times a minute, and no lease is reported meanwhile.
const AFTER_PANIC: Duration = Duration::from_secs(6);

/// When a lease is to be reported, and whether somebody waits for that.
#[derive(Debug, Default)]
pub(super) struct Threshold {
    /// In nanoseconds; 0 where no reports are wanted.
    nanos: AtomicU64,
    /// Whether the timer runs.
    pub(super) armed: AtomicBool,
    changed: Notify,
}

impl Threshold {
    /// The same, with a timer of its own, for a forked child.
    pub(super) fn inherited(&self) -> Self {
        let nanos = AtomicU64::new(self.nanos.load(Ordering::Relaxed));
        Threshold {
            nanos,
            ..Threshold::default()
        }
    }

    fn get(&self) -> Option<Duration> {
        let nanos = self.nanos.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }
}

impl Process {
    /// Has each lease of an observed pool reported, once, that is older than this; none from now on where there is no
    /// threshold.
    pub fn want_leak_reports(&'static self, threshold: Option<Duration>) {
        let nanos = threshold.map_or(0, |threshold| {
            u64::try_from(threshold.max(LEAST).as_nanos()).unwrap_or(u64::MAX)
        });
        self.threshold.nanos.store(nanos, Ordering::Relaxed);
        self.threshold.changed.notify_one();
        self.expect_overdue();
    }

    /// A lease has begun: sees to it that it is reported in time. Costs a load where no reports are wanted.
    pub fn expect_overdue(&'static self) {
        if self.threshold.get().is_none() || self.threshold.armed.swap(true, Ordering::SeqCst) {
            return;
        }
        match self.runtime() {
            Ok(runtime) => {
                runtime.spawn(self.wait_for_overdue());
            }
            // Armed for good: there is nobody who could wait, and to be told so once is enough.
            Err(error) => self.tell_of_failure(&error.to_string()),
        }
    }

    async fn wait_for_overdue(&'static self) {
        loop {
            let turn = catch_unwind(AssertUnwindSafe(|| self.report_overdue()));
            match turn.map_err(|panic| words(panic.as_ref())) {
                // Another threshold is looked at at once.
                Ok(Some(due)) => drop(timeout_at(due.into(), self.threshold.changed.notified()).await),
                Ok(None) => return,
                Err(words) => {
                    let _ = catch_unwind(AssertUnwindSafe(|| self.tell_of_failure(&words)));
                    sleep(AFTER_PANIC).await;
                }
            }
        }
    }

    /// Reports what is due. Returns when the next one is; nothing where no lease is out, and the timer ends.
    fn report_overdue(&self) -> Option<Instant> {
        trip::here("leases");
        let (overdue, next, had_none) = self.mirror(|mirror| {
            let found = self
                .threshold
                .get()
                .map(|threshold| mirror.overdue(threshold, Instant::now()));
            let had_none = found.is_none();
            let (overdue, next) = found.unwrap_or_default();
            if next.is_none() {
                // With the mirror locked: a lease that begins behind this starts another timer.
                self.threshold.armed.store(false, Ordering::SeqCst);
            }
            (overdue, next, had_none)
        });
        // A threshold that has come meanwhile has found the timer running.
        let next = next.or_else(|| {
            let wanted = had_none && self.threshold.get().is_some();
            let again = wanted && !self.threshold.armed.swap(true, Ordering::SeqCst);
            again.then(Instant::now)
        });
        for lease in overdue.into_iter().filter(|_| !trip::off("overdue")) {
            self.events.push(Event::Overdue(lease));
        }
        next
    }

    fn tell_of_failure(&self, words: &str) {
        self.notify(Notice {
            name: "error.rescued".to_owned(),
            reason: Some(format!("waiting for old leases: {words}")),
            ..Notice::default()
        });
    }
}
