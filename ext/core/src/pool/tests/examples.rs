//! Single steps that went wrong once, or would be missed soon.

use std::cell::Cell;
use std::rc::Rc;

use super::Fake;
use crate::clock::Moment;
use crate::pool::{Checkout, Outcome, Standing, State};

fn now() -> Moment {
    Moment::now()
}

/// A pool with so many idle connections.
fn filled(size: usize) -> State<Fake> {
    let mut state = State::new(size);
    for id in 0..size {
        let slot = state.open_spare().unwrap();
        let fake = Fake::new(u32::try_from(id).unwrap());
        assert!(matches!(state.opened(slot, fake, now()), Outcome::Done));
    }
    state
}

/// Condemned from its second look on: the watch marks it while a step is under way.
#[derive(Debug)]
struct CondemnedMeanwhile(Rc<Cell<u32>>);

impl Standing for CondemnedMeanwhile {
    fn is_condemned(&self) -> bool {
        self.0.replace(self.0.get() + 1) > 0
    }

    fn is_dirty(&self) -> bool {
        false
    }

    fn is_old(&self, _now: Moment) -> bool {
        false
    }
}

#[test]
fn a_waiter_that_has_left_the_queue_has_a_connection_even_where_it_is_condemned_at_that_moment() {
    let mut state = State::new(1);
    let ticket = state.wait(1, now()).unwrap();
    let slot = state.open_one().unwrap();
    let outcome = state.opened(slot, CondemnedMeanwhile(Rc::default()), now());
    assert!(matches!(outcome, Outcome::Handed(handed) if handed == ticket));
    assert_eq!(state.handed(1, ticket), Some(slot));
}

#[test]
fn what_came_back_between_a_checkout_and_its_wait_is_lent_at_once() {
    let mut state = filled(1);
    assert_eq!(state.checkout(1, now()), Checkout::Leased(0));
    assert_eq!(state.checkout(2, now()), Checkout::NoneIdle);
    assert!(matches!(state.release(1, now()), Outcome::Done));
    let ticket = state.wait(2, now()).unwrap();
    assert_eq!(state.handed(2, ticket), Some(0));
    assert_eq!(state.open_one(), None);
}

#[test]
fn an_owner_that_holds_a_connection_cannot_wait_for_another() {
    let mut state = filled(1);
    assert_eq!(state.checkout(1, now()), Checkout::Leased(0));
    assert_eq!(state.wait(1, now()), None);
}

#[test]
fn a_pool_that_shrank_and_grew_again_opens_no_more_than_its_size() {
    let mut state = filled(4);
    for owner in 1..=4 {
        assert!(matches!(state.checkout(owner, now()), Checkout::Leased(_)));
    }
    // Lent from the top, so these are the lower ones.
    assert!(state.resize(1).is_empty());
    for owner in 2..=4 {
        assert!(matches!(state.release(owner, now()), Outcome::Close(_)));
    }
    assert!(state.resize(3).is_empty());
    assert!(state.open_spare().is_some() && state.open_spare().is_some());
    assert_eq!(
        state.open_spare(),
        None,
        "three are all that there may be: {}",
        state.numbers()
    );
}

#[test]
fn what_is_leased_stays_when_it_comes_back_to_a_smaller_pool_that_has_room() {
    let mut state = filled(2);
    assert_eq!(state.checkout(1, now()), Checkout::Leased(1));
    assert_eq!(state.resize(1).len(), 1, "the idle one");
    assert!(matches!(state.release(1, now()), Outcome::Done));
    assert_eq!(state.numbers().idle, 1);
}

#[test]
fn a_lease_is_counted_before_anybody_can_learn_of_it() {
    let mut state = State::new(1);
    let count = state.lease_count();
    let ticket = state.wait(1, now()).unwrap();
    let slot = state.open_one().unwrap();
    assert!(count.is_zero());
    assert!(matches!(state.opened(slot, Fake::new(1), now()), Outcome::Handed(handed) if handed == ticket));
    assert!(!count.is_zero(), "its release would be passed over");
    assert!(matches!(state.give_up(1, ticket, now()), Outcome::Done));
    assert!(count.is_zero());
}

#[test]
fn a_slot_that_a_smaller_size_has_taken_away_can_be_vacated() {
    let mut state = State::<Fake>::new(3);
    let opening: Vec<_> = (0..3).map(|_| state.open_spare().unwrap()).collect();
    state.resize(0);
    opening.into_iter().for_each(|slot| state.vacate(slot));
    state.vacate(2);
    assert_eq!(state.numbers().opening, 0);
}

#[test]
fn what_is_too_old_is_closed_when_it_comes_back_and_whoever_waits_has_a_new_one_opened() {
    let mut state = State::new(1);
    let slot = state.open_spare().unwrap();
    let old = Fake {
        old: true,
        ..Fake::new(1)
    };
    assert!(matches!(state.opened(slot, Fake::new(0), now()), Outcome::Done));
    assert_eq!(state.checkout(1, now()), Checkout::Leased(slot));
    let (ticket, _, _) = state.take(slot, 1).unwrap();
    assert!(matches!(state.bring_back(slot, ticket, old), Outcome::Done));
    state.wait(2, now()).unwrap();
    assert!(matches!(state.release(1, now()), Outcome::Retire(retired, fake) if (retired, fake.id) == (slot, 1)));
    // The server may have no room for both.
    assert_eq!(state.open_one(), None);
    state.vacate(slot);
    assert_eq!(state.open_one(), Some(slot));
}
