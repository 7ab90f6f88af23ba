//! The background task that follows the watch. It outlives whatever goes wrong in one of its turns: nobody would start
//! it again, and nothing else would see to it that idle connections are evicted.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::{Duration, Instant};

use super::Process;
use crate::error::Error;
use crate::event::Notice;
use crate::panic::words;
use crate::trip;
use crate::watch::Watch;

const MINUTE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// So many failures a minute are told, each with its number.
const TOLD: u64 = 10;

impl Process {
    pub(super) fn follow(&'static self, watch: &Watch) -> Result<(), Error> {
        let runtime = self.runtime()?;
        let _context = runtime.enter();
        let epoll = watch.readiness()?;
        runtime.spawn(async move {
            let mut failures = Failures::default();
            // Ends only with the runtime: an error here means that the runtime is shutting down.
            while let Ok(mut ready) = epoll.readable().await {
                ready.clear_ready();
                // The kernel says no second time that there is something to take: a turn that failed is repeated.
                while let Some(pause) = self.turn(&mut failures) {
                    tokio::time::sleep(pause).await;
                }
            }
        });
        Ok(())
    }

    /// One turn of the background. Returns how long to wait before it is to be repeated, where it panicked.
    fn turn(&self, failures: &mut Failures) -> Option<Duration> {
        let turn = || {
            trip::here("watching");
            self.collect();
        };
        let panic = catch_unwind(AssertUnwindSafe(turn)).err()?;
        let (pause, number) = failures.add(Instant::now());
        if let Some(number) = number {
            let told = || {
                self.notify(Notice {
                    name: "error.rescued".to_owned(),
                    reason: Some(format!("watching sockets: {}", words(panic.as_ref()))),
                    count: Some(number),
                    ..Notice::default()
                });
            };
            // What panics may be the telling itself: then the panic's own words on standard error have to do.
            let _ = catch_unwind(AssertUnwindSafe(told));
        }
        Some(pause)
    }
}

/// The failures of the present minute.
#[derive(Debug, Default)]
struct Failures {
    since: Option<Instant>,
    count: u64,
}

impl Failures {
    /// Counts one. Returns how long to wait before the next attempt, and the number to tell it by, if it is to be told.
    fn add(&mut self, now: Instant) -> (Duration, Option<u64>) {
        if self.since.is_none_or(|since| now.duration_since(since) >= MINUTE) {
            *self = Failures {
                since: Some(now),
                count: 0,
            };
        }
        self.count += 1;
        let pause = (FIRST_PAUSE * (1 << (self.count - 1).min(7))).min(LONGEST_PAUSE);
        (pause, (self.count <= TOLD).then_some(self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_repeats_does_not_spin_and_fills_no_log() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        let (mut now, mut attempts, mut told) = (start, 0, 0);
        while now < start + MINUTE * 10 {
            let (pause, number) = failures.add(now);
            now += pause;
            attempts += 1;
            told += usize::from(number.is_some());
        }
        assert!(attempts <= 70 * 10, "{attempts} attempts");
        assert!(told <= 10 * 11, "{told} told");
    }

    #[test]
    fn the_first_is_told_and_made_good_at_once_and_so_is_the_first_of_a_later_minute() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        assert_eq!(failures.add(start), (FIRST_PAUSE, Some(1)));
        assert_eq!(failures.add(start), (FIRST_PAUSE * 2, Some(2)));
        assert_eq!(failures.add(start + MINUTE), (FIRST_PAUSE, Some(1)));
    }
}
