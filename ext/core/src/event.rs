//! What happened, on its way from whoever noticed it to the one thread that tells Ruby.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use once_cell::sync::OnceCell;

use crate::lock::lock;
use crate::owner::{Job, OwnerId};
use crate::trip;

/// Beyond this many waiting events the oldest are dropped and counted: an incident must not eat the memory.
const LIMIT: usize = 4_096;

/// Something for the thread that carries events to Ruby.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An idle connection is condemned: its adapter is to leave its pool.
    Evict(u64),
    /// A lease has become long whose socket is not known: its adapter is to be asked for it.
    Refresh(u64),
    /// Subscribers and the log are to be told.
    Notice(Box<Notice>),
    /// A lease is to be reported, if it is still out: Ruby knows, and has its borrower's stack.
    Overdue(Overdue),
}

/// A lease that is out for longer than it is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overdue {
    /// Its pool.
    pub pool: u64,
    /// Its connection, where the pool is an observed one.
    pub connection: Option<u64>,
    /// Who has it.
    pub owner: OwnerId,
    /// For how long, in seconds.
    pub seconds: f64,
}

/// One event as subscribers see it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Notice {
    /// The event's name, such as `connection.leaked`.
    pub name: String,
    /// The pool it happened in.
    pub pool: Option<u64>,
    /// The host it happened on.
    pub host: Option<String>,
    /// The owner it happened to.
    pub owner: Option<OwnerId>,
    /// The work of that owner.
    pub job: Option<Job>,
    /// How long the thing that ended had lasted, in seconds.
    pub seconds: Option<f64>,
    /// How many there were.
    pub count: Option<u64>,
    /// Why, in words.
    pub reason: Option<String>,
    /// Whether nothing was done about it, because only reports are wanted.
    pub reported: bool,
    /// Where the connection was taken, innermost first.
    pub stack: Option<Vec<String>>,
}

type Waker = Arc<dyn Fn() + Send + Sync>;

/// The bounded queue of events.
#[derive(Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    waker: OnceCell<Waker>,
}

/// Two queues: subscribers and loggers give up the GVL, and beside a busy thread each time costs its slice of 100 ms. A
/// connection that is to leave its pool does not wait for them.
#[derive(Default)]
struct Waiting {
    evictions: VecDeque<u64>,
    refreshes: VecDeque<u64>,
    notices: VecDeque<Box<Notice>>,
    overdue: VecDeque<Overdue>,
    dropped: u64,
}

impl Waiting {
    fn add(&mut self, event: Event) {
        self.dropped += match event {
            Event::Evict(connection) => bounded(&mut self.evictions, connection),
            Event::Refresh(connection) => bounded(&mut self.refreshes, connection),
            Event::Notice(notice) => bounded(&mut self.notices, notice),
            Event::Overdue(lease) => bounded(&mut self.overdue, lease),
        };
    }
}

/// Adds to a queue, and answers how many of the oldest were dropped for it.
fn bounded<T>(queue: &mut VecDeque<T>, value: T) -> u64 {
    let dropped = queue.len() >= LIMIT && queue.pop_front().is_some();
    queue.push_back(value);
    u64::from(dropped)
}

impl Queue {
    /// Says how the thread that drains the queue is woken. The first answer stands.
    pub fn wake_with(&self, waker: Waker) {
        // A second thread that drains the same queue wakes the same way.
        let _ = self.waker.set(waker);
    }

    /// Adds an event; drops the oldest one where the queue is full.
    pub fn push(&self, event: Event) {
        self.waiting().add(event);
        if let Some(wake) = self.waker.get() {
            wake();
        }
    }

    /// Takes the oldest event: evictions first, and leases to be reported last, so that no more than one report with a
    /// stack waits for its subscribers.
    pub fn pop(&self) -> Option<Event> {
        let mut waiting = self.waiting();
        let eviction = waiting.evictions.pop_front().map(Event::Evict);
        let event = eviction.or_else(|| waiting.refreshes.pop_front().map(Event::Refresh));
        let event = event.or_else(|| waiting.notices.pop_front().map(Event::Notice));
        event.or_else(|| waiting.overdue.pop_front().map(Event::Overdue))
    }

    /// How many events were dropped because nobody drained the queue.
    pub fn dropped(&self) -> u64 {
        self.waiting().dropped
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        let waiting = lock(&self.waiting);
        trip::here("event queue");
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_flood_drops_the_oldest_and_counts_them() {
        let queue = Queue::default();
        for number in 0..LIMIT as u64 + 10 {
            queue.push(Event::Evict(number));
        }
        assert_eq!(queue.dropped(), 10);
        assert_eq!(queue.pop(), Some(Event::Evict(10)));
    }

    #[test]
    fn evictions_do_not_wait_for_notices() {
        let queue = Queue::default();
        queue.push(Event::Notice(Box::default()));
        queue.push(Event::Evict(1));
        assert_eq!(queue.pop(), Some(Event::Evict(1)));
        assert_eq!(queue.pop(), Some(Event::Notice(Box::default())));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn every_event_wakes_whoever_drains() {
        let queue = Queue::default();
        let woken = Arc::new(AtomicUsize::new(0));
        let counter = woken.clone();
        queue.wake_with(Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        }));
        queue.push(Event::Evict(1));
        queue.push(Event::Evict(2));
        assert_eq!(woken.load(Ordering::SeqCst), 2);
    }
}
