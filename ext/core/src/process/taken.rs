//! Hang-ups on their way from the kernel, which tells each of them once, to the mirror.

use std::any::Any;
use std::panic::{catch_unwind, AssertUnwindSafe};

use crate::socket::Identity;

/// How often a hang-up is tried that makes us panic.
const ATTEMPTS: u32 = 3;

/// The hang-ups that wait for their turn, with the number of attempts that failed.
#[derive(Debug, Default)]
pub(super) struct Taken(Vec<(Identity, u32)>);

impl Taken {
    pub(super) fn add(&mut self, identities: Vec<Identity>) {
        self.0.extend(identities.into_iter().map(|identity| (identity, 0)));
    }

    /// Gives each its turn; `mark` is told whether an earlier attempt failed half-way. Returns how many went well, and
    /// the last panic: one that panics keeps no other from its turn, and gets another one at the next call.
    pub(super) fn each(&mut self, mut mark: impl FnMut(Identity, bool)) -> (usize, Option<Box<dyn Any + Send>>) {
        let (mut count, mut failure) = (0, None);
        for (identity, failed) in std::mem::take(&mut self.0) {
            match catch_unwind(AssertUnwindSafe(|| mark(identity, failed > 0))) {
                Ok(()) => count += 1,
                Err(panic) => {
                    failure = Some(panic);
                    if failed + 1 < ATTEMPTS {
                        self.0.push((identity, failed + 1));
                    }
                }
            }
        }
        (count, failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_panics_keeps_no_other_from_its_turn_and_is_tried_again() {
        let mut taken = Taken::default();
        taken.add((1..=3).map(Identity).collect());
        let mut seen = Vec::new();
        let (count, failure) = taken.each(|identity, again| {
            seen.push((identity.0, again));
            assert_ne!(identity, Identity(2), "a bug of ours");
        });
        assert_eq!((count, seen), (2, vec![(1, false), (2, false), (3, false)]));
        assert!(crate::panic::words(failure.unwrap().as_ref()).contains("a bug of ours"));

        let mut again = Vec::new();
        let (count, failure) = taken.each(|identity, failed| again.push((identity.0, failed)));
        assert_eq!((count, failure.is_none(), again), (1, true, vec![(2, true)]));
        assert_eq!(taken.each(|_, _| unreachable!()).0, 0);
    }

    #[test]
    fn one_that_always_panics_is_given_up() {
        let mut taken = Taken::default();
        taken.add(vec![Identity(1)]);
        let panics = (0..10).filter(|_| taken.each(|_, _| panic!("a bug of ours")).1.is_some());
        assert_eq!(panics.count() as u32, ATTEMPTS);
    }
}
