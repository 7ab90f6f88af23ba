//! Hand-over and release between threads, in every interleaving with at most a few preemptions (loom; that a thread
//! waits is none). The state and its count are the very files that the pool is made of, over loom's atomics; lock, step,
//! unlock and wake follow each other as in `process::native`. A scene that fails may end the whole program: loom panics
//! again while it cleans up.

use loom::model::Builder;
use loom::sync::atomic::AtomicBool;
use loom::sync::{Arc, Mutex, MutexGuard, Notify};
use loom::thread;

use crate::clock::Moment;
use crate::error::Error;
use crate::owner::OwnerId;
use crate::pool::slot;
use crate::pool::waiting::Waiting;

// The same files twice, on purpose: once over the standard library's atomics, once over loom's.
#[path = "../state/mod.rs"]
#[allow(dead_code, clippy::duplicate_mod)]
mod state;

mod sync {
    pub(super) use loom::sync::atomic::{AtomicUsize, Ordering};
    pub(super) use loom::sync::Arc;
}

use slot::{Checkout, Outcome, SlotId, Standing, Ticket};
use state::{LeaseCount, State};
use sync::Ordering;

/// A connection that the watch may mark at any moment.
#[derive(Debug, Default)]
struct Marked(Arc<AtomicBool>);

impl Standing for Marked {
    fn is_condemned(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn is_dirty(&self) -> bool {
        false
    }

    fn is_old(&self, _now: Moment) -> bool {
        false
    }
}

struct Inner {
    state: State<Marked>,
    waiting: Waiting,
}

struct Pool {
    inner: Mutex<Inner>,
    leases: LeaseCount,
}

/// What a waiter looks at, and what wakes it.
struct Waits {
    ticket: Ticket,
    bell: std::sync::Arc<Notify>,
}

impl Pool {
    fn new(size: usize) -> Self {
        let state = State::new(size);
        Pool {
            leases: state.lease_count(),
            inner: Mutex::new(Inner {
                state,
                waiting: Waiting::default(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn checkout(&self, owner: OwnerId) -> bool {
        matches!(self.lock().state.checkout(owner, Moment::now()), Checkout::Leased(_))
    }

    fn wait(&self, owner: OwnerId) -> Waits {
        let bell = std::sync::Arc::new(Notify::new());
        let wake = bell.clone();
        let (ticket, slot) = {
            let mut inner = self.lock();
            let ticket = inner.state.wait(owner, Moment::now()).unwrap();
            inner.waiting.enter(ticket, std::sync::Arc::new(move || wake.notify()));
            (ticket, inner.state.open_one())
        };
        self.open(slot);
        Waits { ticket, bell }
    }

    fn answer(&self, owner: OwnerId, ticket: Ticket) -> Option<Result<SlotId, Error>> {
        let mut inner = self.lock();
        if let Some(slot) = inner.state.handed(owner, ticket) {
            inner.waiting.leave(ticket);
            return Some(Ok(slot));
        }
        inner.waiting.refusal(ticket).map(Err)
    }

    fn give_up(&self, owner: OwnerId, ticket: Ticket) {
        let outcome = {
            let mut inner = self.lock();
            inner.waiting.leave(ticket);
            inner.state.give_up(owner, ticket, Moment::now())
        };
        self.follow(outcome);
    }

    fn release(&self, owner: OwnerId) -> bool {
        if self.leases.is_zero() {
            return false;
        }
        let outcome = {
            let mut inner = self.lock();
            if inner.state.lease(owner).is_none() {
                return false;
            }
            inner.state.release(owner, Moment::now())
        };
        self.follow(outcome);
        true
    }

    fn close(&self) {
        let wakers = {
            let mut inner = self.lock();
            let (_, tickets) = inner.state.close();
            inner.waiting.refuse(&tickets, &closed())
        };
        wakers.into_iter().for_each(|wake| wake());
    }

    fn open(&self, slot: Option<SlotId>) {
        if let Some(slot) = slot {
            let outcome = self.lock().state.opened(slot, Marked::default(), Moment::now());
            self.follow(outcome);
        }
    }

    fn follow(&self, outcome: Outcome<Marked>) {
        match outcome {
            Outcome::Handed(ticket) => {
                let wake = self.lock().waiting.waker(ticket);
                if let Some(wake) = wake {
                    wake();
                }
            }
            Outcome::Close(_) | Outcome::Vacant => {
                let slot = self.lock().state.open_one();
                self.open(slot);
            }
            Outcome::Done => {}
            Outcome::Clean(..) | Outcome::Retire(..) => unreachable!("nothing is dirty, or old"),
        }
    }

    /// Takes one and gives it back, however long it has to wait.
    fn once(&self, owner: OwnerId) {
        if !self.checkout(owner) {
            let waits = self.wait(owner);
            self.until_answered(owner, &waits).unwrap();
        }
        assert!(self.release(owner), "a release that passes its lease over");
    }

    fn until_answered(&self, owner: OwnerId, waits: &Waits) -> Result<SlotId, Error> {
        loop {
            if let Some(answer) = self.answer(owner, waits.ticket) {
                return answer;
            }
            waits.bell.wait();
        }
    }

    fn is_at_rest(&self, idle: usize) {
        let numbers = self.lock().state.numbers();
        assert_eq!(numbers.idle, idle, "{numbers}");
        assert_eq!(
            numbers.leased + numbers.opening + numbers.away + numbers.waiting,
            0,
            "{numbers}"
        );
        assert!(self.leases.is_zero());
    }
}

fn closed() -> Error {
    Error::Closed { pool: String::new() }
}

/// Runs a scene in all its interleavings, and says how many those are.
fn all(preemptions: usize, scene: impl Fn() + Sync + Send + 'static) {
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = count.clone();
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        scene();
    });
    let count = count.load(std::sync::atomic::Ordering::Relaxed);
    println!("{count} interleavings");
    assert!(count > 10, "only {count} interleavings: nothing ran beside anything");
}

fn beside(pool: &Arc<Pool>, body: impl FnOnce(&Pool) + 'static) -> thread::JoinHandle<()> {
    let pool = pool.clone();
    thread::spawn(move || body(&pool))
}

#[test]
fn three_owners_of_one_connection_all_get_it_and_give_it_back() {
    all(2, || {
        let pool = Arc::new(Pool::new(1));
        let threads = [beside(&pool, |pool| pool.once(1)), beside(&pool, |pool| pool.once(2))];
        pool.once(3);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        pool.is_at_rest(1);
    });
}

#[test]
fn what_is_handed_to_one_who_gives_up_goes_to_the_next() {
    all(3, || {
        let pool = Arc::new(Pool::new(1));
        pool.once(9);
        assert!(pool.checkout(1));
        let impatient = beside(&pool, |pool| {
            let waits = pool.wait(2);
            pool.give_up(2, waits.ticket);
        });
        let patient = beside(&pool, |pool| pool.once(3));
        assert!(pool.release(1));
        impatient.join().unwrap();
        patient.join().unwrap();
        pool.is_at_rest(1);
    });
}

#[test]
fn whoever_looks_before_it_is_woken_can_give_back_what_it_was_handed() {
    all(3, || {
        let pool = Arc::new(Pool::new(1));
        assert!(pool.checkout(1) || pool.until_answered(1, &pool.wait(1)).is_ok());
        let waits = pool.wait(2);
        let giver = beside(&pool, |pool| assert!(pool.release(1)));
        // Does not wait for the bell: the clock, or an interrupt, makes it look.
        match pool.answer(2, waits.ticket) {
            Some(answer) => assert!(answer.is_ok() && pool.release(2)),
            None => pool.give_up(2, waits.ticket),
        }
        giver.join().unwrap();
        pool.is_at_rest(1);
    });
}

#[test]
fn a_connection_that_is_marked_while_it_is_handed_over_costs_no_waiter_its_turn() {
    all(3, || {
        let pool = Arc::new(Pool::new(1));
        pool.until_answered(1, &pool.wait(1)).unwrap();
        let mark = pool.lock().state.lease(1).unwrap().1.connection().unwrap().0.clone();
        let watch = thread::spawn(move || mark.store(true, Ordering::Release));
        let waiter = beside(&pool, |pool| pool.once(2));
        assert!(pool.release(1));
        watch.join().unwrap();
        waiter.join().unwrap();
        let numbers = pool.lock().state.numbers();
        assert!(
            numbers.idle <= 1 && numbers.leased + numbers.opening + numbers.waiting == 0,
            "{numbers}"
        );
    });
}

#[test]
fn a_pool_that_is_closed_tells_everybody_who_waits_and_keeps_nothing() {
    all(3, || {
        let pool = Arc::new(Pool::new(1));
        pool.until_answered(1, &pool.wait(1)).unwrap();
        let waits = pool.wait(2);
        let closer = beside(&pool, Pool::close);
        let giver = beside(&pool, |pool| assert!(pool.release(1)));
        match pool.until_answered(2, &waits) {
            Ok(_) => assert!(pool.release(2)),
            Err(error) => assert!(matches!(error, Error::Closed { .. })),
        }
        closer.join().unwrap();
        giver.join().unwrap();
        pool.is_at_rest(0);
    });
}
