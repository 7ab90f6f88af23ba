//! When a host that is asked whether it still answers counts as silent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How hosts are watched over while leases are long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// A lease that is older has its host asked.
    pub after: Duration,
    /// How long from one question to the next.
    pub interval: Duration,
    /// How long an answer may take: at most the interval.
    pub timeout: Duration,
    /// So many silences in a row are one too many.
    pub failures: u32,
}

/// The settings as they are now, or none where hosts are not watched over. Read in forked children, whose parent may have
/// been in the middle of anything: no lock guards them.
#[derive(Debug, Default)]
pub struct Wanted {
    /// In milliseconds; 0: off.
    after: AtomicU64,
    interval: AtomicU64,
    timeout: AtomicU64,
    failures: AtomicU64,
}

impl Wanted {
    /// Changes the settings.
    pub fn set(&self, settings: Option<Settings>) {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        if let Some(settings) = settings {
            self.interval.store(milliseconds(settings.interval), Ordering::Relaxed);
            self.timeout.store(milliseconds(settings.timeout), Ordering::Relaxed);
            self.failures
                .store(u64::from(settings.failures.max(1)), Ordering::Relaxed);
        }
        let after = settings.map_or(0, |settings| milliseconds(settings.after));
        self.after.store(after, Ordering::Release);
    }

    /// The settings, unless hosts are not watched over.
    pub fn get(&self) -> Option<Settings> {
        let milliseconds = |time: &AtomicU64| Duration::from_millis(time.load(Ordering::Relaxed));
        let after = self.after.load(Ordering::Acquire);
        (after > 0).then(|| Settings {
            after: Duration::from_millis(after),
            interval: milliseconds(&self.interval),
            timeout: milliseconds(&self.timeout),
            failures: u32::try_from(self.failures.load(Ordering::Relaxed)).unwrap_or(u32::MAX),
        })
    }
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The host said something, whatever it was.
    Heard,
    /// It said nothing in time.
    Silent,
    /// It said nothing, but it was not listened to all the while: this process was stopped, or had no time.
    Missed,
    /// It could not be asked, for want of a descriptor or of a way to it: this tells nothing of it, either way.
    Unasked,
}

impl Check {
    /// Judges a check that ended without a word, that began so long after its time, and in which this process got no time
    /// for so long.
    pub fn without_a_word(settings: &Settings, late: Duration, away: Duration) -> Check {
        match late > settings.interval / 2 || away > settings.timeout / 2 {
            true => Check::Missed,
            false => Check::Silent,
        }
    }
}

/// What follows from a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    Go,
    /// The host is silent: as of now, or still.
    Silent {
        /// Whether it was not before.
        first: bool,
    },
    /// It was silent, and is not any more.
    Up,
}

/// One host's checks.
#[derive(Debug, Default)]
pub struct Vigil {
    silences: u32,
    silent: bool,
}

impl Vigil {
    /// Whether the host is silent.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// Takes what a check came to.
    pub fn checked(&mut self, check: Check, failures: u32) -> Turn {
        match check {
            Check::Heard => {
                self.silences = 0;
                match std::mem::take(&mut self.silent) {
                    true => Turn::Up,
                    false => Turn::Go,
                }
            }
            Check::Missed => {
                self.silences = 0;
                Turn::Go
            }
            Check::Unasked => Turn::Go,
            Check::Silent => {
                self.silences = self.silences.saturating_add(1);
                if self.silences < failures {
                    return Turn::Go;
                }
                let first = !std::mem::replace(&mut self.silent, true);
                Turn::Silent { first }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings {
        after: Duration::from_secs(5),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        failures: 3,
    };

    fn turns(checks: &[Check]) -> Vec<Turn> {
        let mut vigil = Vigil::default();
        checks.iter().map(|check| vigil.checked(*check, 3)).collect()
    }

    #[test]
    fn three_silences_in_a_row_are_one_too_many_and_the_first_word_ends_them() {
        use Check::{Heard, Silent};
        let silent = |first| Turn::Silent { first };
        assert_eq!(
            turns(&[Silent, Silent, Heard, Silent, Silent, Silent, Silent, Heard, Heard]),
            [
                Turn::Go,
                Turn::Go,
                Turn::Go,
                Turn::Go,
                Turn::Go,
                silent(true),
                silent(false),
                Turn::Up,
                Turn::Go
            ]
        );
    }

    #[test]
    fn a_process_that_was_stopped_counts_anew() {
        use Check::{Missed, Silent};
        let all_but_one = [Silent, Silent, Missed, Silent, Silent];
        assert!(turns(&all_but_one).iter().all(|turn| *turn == Turn::Go));
        let silent_already = [Silent, Silent, Silent, Missed, Silent, Silent];
        assert!(turns(&silent_already)[3..].iter().all(|turn| *turn == Turn::Go));
    }

    #[test]
    fn a_check_that_could_not_be_made_counts_neither_way() {
        use Check::{Silent, Unasked};
        assert_eq!(
            turns(&[Silent, Silent, Unasked, Silent])[3],
            Turn::Silent { first: true }
        );
        assert!(turns(&[Unasked; 9]).iter().all(|turn| *turn == Turn::Go));
    }

    #[test]
    fn a_check_in_which_this_process_was_late_counts_as_missed() {
        let settings = Settings {
            timeout: Duration::from_millis(100),
            ..SETTINGS
        };
        let judged = |late, away| {
            let [late, away] = [late, away].map(Duration::from_millis);
            Check::without_a_word(&settings, late, away)
        };
        assert_eq!([judged(0, 0), judged(500, 50)], [Check::Silent; 2]);
        assert_eq!([judged(501, 0), judged(0, 51)], [Check::Missed; 2]);
    }

    #[test]
    fn settings_are_read_as_they_were_set_and_none_where_they_are_off() {
        let wanted = Wanted::default();
        assert_eq!(wanted.get(), None);
        wanted.set(Some(SETTINGS));
        assert_eq!(wanted.get(), Some(SETTINGS));
        wanted.set(None);
        assert_eq!(wanted.get(), None);
    }
}
