//! Native pools at work: their steps are decided in `pool`, their connections are watched, condemned and counted beside
//! those of observed pools, and what takes time is done in the background.

mod clean;
mod connection;
mod open;
mod statement;
#[cfg(test)]
mod tests;
mod upkeep;

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::Process;
use crate::backend::{self, Backend, Failure, Followed};
use crate::clock::Moment;
use crate::error::{Error, Misuse, Step};
use crate::lock::lock;
use crate::observed::Description;
use crate::owner::OwnerId;
pub use crate::pool::Waker;
use crate::pool::{Checkout, LeaseCount, Numbers, Options, Outcome, SlotId, State, Ticket, Waiting};
use crate::socket;
use crate::stats::Counter;
use crate::watch::runtime::epolls;

use connection::Kept;
pub use statement::{Statement, Work};

/// A pool of connections that poolkeeper opens itself.
pub struct NativePool {
    number: u64,
    options: Mutex<Options>,
    name: String,
    backend: Box<dyn Backend>,
    process: &'static Process,
    inner: Mutex<Inner>,
    /// A release looks no further where there is none.
    leases: LeaseCount,
    this: Weak<NativePool>,
}

struct Inner {
    state: State<Box<Kept>>,
    waiting: Waiting,
    /// Who wants to know when the statement under way on a slot is over.
    expecting: FxHashMap<SlotId, Vec<Waker>>,
    down: Option<Down>,
    /// Connections that were opened before are dropped instead of lent.
    generation: u64,
    /// How many leases were given back.
    released: u64,
}

impl Inner {
    /// Condemns a connection that was away, opening or in a statement when the pool was told to replace all it has.
    fn meet(&self, kept: &Kept) {
        if kept.generation != self.generation {
            kept.condemn();
        }
    }
}

/// The server cannot be reached, and one prober tries.
struct Down {
    cause: Failure,
}

/// What a checkout found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A slot that is this owner's from now on.
    New(SlotId),
    /// The slot it has already.
    Held(SlotId),
    /// Nothing is idle.
    Nothing,
}

impl Process {
    /// Makes a pool under a number that no other pool has. Opens nothing yet, unless connections are to be kept open.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] where the URL cannot be used; [`Error::Runtime`] where there can be no background.
    pub fn native(&'static self, number: u64, url: &str, options: Options) -> Result<Arc<NativePool>, Error> {
        self.runtime()?;
        socket::expect_forks();
        let followed = Followed::by(epolls(self.opened.get().map_or(&[], Vec::as_slice)));
        let backend = backend::of(url, &options, followed)?;
        Ok(self.native_over(number, backend, options))
    }

    fn native_over(&'static self, number: u64, backend: Box<dyn Backend>, options: Options) -> Arc<NativePool> {
        let description = Description {
            name: options.name.clone(),
            role: String::new(),
            shard: String::new(),
            address: backend.address().to_string(),
            replica: false,
        };
        self.mirror(|mirror| mirror.pool(number, description));
        let state = State::new(options.size);
        let pool = Arc::new_cyclic(|this| NativePool {
            number,
            name: options.name.clone(),
            leases: state.lease_count(),
            inner: Mutex::new(Inner {
                state,
                waiting: Waiting::default(),
                expecting: FxHashMap::default(),
                down: None,
                generation: 0,
                released: 0,
            }),
            options: Mutex::new(options),
            backend,
            process: self,
            this: this.clone(),
        });
        lock(&self.natives).insert(number, Arc::downgrade(&pool));
        pool.keep_up();
        pool
    }

    /// The native pools there are.
    pub fn natives(&self) -> Vec<Arc<NativePool>> {
        let mut natives = lock(&self.natives);
        natives.retain(|_, pool| pool.strong_count() > 0);
        natives.values().filter_map(Weak::upgrade).collect()
    }

    /// Drops the idle condemned connections of a native pool. Returns whether there is such a pool.
    pub(super) fn evict_native(&self, pool: u64) -> bool {
        let native = lock(&self.natives).get(&pool).and_then(Weak::upgrade);
        native.map(|native| native.evict()).is_some()
    }
}

impl NativePool {
    /// Its number, which events and statistics know it by.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many leases were given back.
    pub fn released(&self) -> u64 {
        lock(&self.inner).released
    }

    /// How many connections are in which state.
    pub fn numbers(&self) -> Numbers {
        lock(&self.inner).state.numbers()
    }

    /// The leases: owner and age.
    pub fn leases(&self) -> Vec<(OwnerId, Duration)> {
        let inner = lock(&self.inner);
        inner
            .state
            .leases()
            .map(|(_, lease)| (lease.owner, lease.since.elapsed()))
            .collect()
    }

    /// Lends an idle connection to an owner, or tells the one it has. Takes a lock, and neither waits nor allocates.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn checkout(&self, owner: OwnerId, for_block: bool) -> Result<Found, Error> {
        let mut inner = lock(&self.inner);
        let found = inner.state.checkout(owner, Moment::now());
        if let (Checkout::Leased(_), Some(lease)) = (&found, inner.state.lease_mut(owner).filter(|_| for_block)) {
            lease.lent_to_block = true;
        }
        let dead = inner.state.take_dead();
        drop(inner);
        self.part_with(dead);
        match found {
            Checkout::Leased(slot) => Ok(Found::New(slot)),
            Checkout::Again(slot) => Ok(Found::Held(slot)),
            Checkout::NoneIdle => Ok(Found::Nothing),
            Checkout::Closed => Err(self.closed()),
        }
    }

    /// Puts an owner into the queue, and sees to it that there will be a connection. `wake` is called when
    /// [`NativePool::answer`] has one, which is to be asked before the first wait: one may have come back by now.
    ///
    /// # Errors
    ///
    /// [`Error::HostDown`] at once while the server cannot be reached.
    pub fn wait(&self, owner: OwnerId, wake: Waker) -> Result<Ticket, Error> {
        let (ticket, slot, dead) = {
            let mut inner = lock(&self.inner);
            if inner.state.is_closed() {
                return Err(self.closed());
            }
            if let Some(down) = &inner.down {
                return Err(self.host_down(down.cause.clone()));
            }
            let ticket = inner.state.wait(owner, Moment::now());
            let ticket = ticket.ok_or_else(|| self.not_held(Misuse::Waiting))?;
            inner.waiting.enter(ticket, wake);
            (ticket, inner.state.open_one(), inner.state.take_dead())
        };
        self.part_with(dead);
        if let Some(slot) = slot {
            self.open(slot);
        }
        Ok(ticket)
    }

    /// What a waiter has been given: a slot, or why there is none; nothing as long as it waits.
    pub fn answer(&self, owner: OwnerId, ticket: Ticket) -> Option<Result<SlotId, Error>> {
        let mut inner = lock(&self.inner);
        if let Some(slot) = inner.state.handed(owner, ticket) {
            inner.waiting.leave(ticket);
            return Some(Ok(slot));
        }
        if inner.state.waits(ticket) {
            return None;
        }
        // Neither refused nor in the queue: it was given one, and its lease has ended before it looked.
        let refused = inner.waiting.refusal(ticket);
        inner.waiting.leave(ticket);
        Some(Err(refused.unwrap_or_else(|| self.not_held(Misuse::Gone))))
    }

    /// A waiter gives up: interrupted, or out of time. What it has been given meanwhile goes back.
    pub fn give_up(&self, owner: OwnerId, ticket: Ticket) {
        let outcome = {
            let mut inner = lock(&self.inner);
            inner.waiting.leave(ticket);
            inner.state.give_up(owner, ticket, Moment::now())
        };
        self.follow(outcome);
    }

    /// Notes that a block has an owner's connection, and gives it back at its end.
    pub fn lend_to_block(&self, owner: OwnerId) {
        if let Some(lease) = lock(&self.inner).state.lease_mut(owner) {
            lease.lent_to_block = true;
        }
    }

    /// Ends an owner's lease. Returns whether it had one. Never waits: what is left to do is done in the background.
    ///
    /// What a block has is left to it, unless the block itself asks.
    pub fn release(&self, owner: OwnerId, by_block: bool) -> bool {
        if self.leases.is_zero() {
            return false;
        }
        let (evidence, outcome) = {
            let mut inner = lock(&self.inner);
            let Some((_, lease)) = inner.state.lease(owner) else {
                return false;
            };
            if lease.lent_to_block && !by_block {
                return false;
            }
            let evidence = self
                .process
                .hosts
                .any_incident()
                .then(|| self.evidence_of(lease))
                .flatten();
            inner.released += 1;
            (evidence, inner.state.release(owner, Moment::now()))
        };
        if let Some((host, opened_at, since)) = evidence {
            self.process
                .works(&host, Some(self.number), Some(opened_at), since, Instant::now());
        }
        self.follow(outcome);
        true
    }

    /// Ends the leases of owners that are gone. Returns how many.
    pub fn reclaim(&self, gone: &[OwnerId]) -> usize {
        gone.iter().filter(|owner| self.release(**owner, true)).count()
    }

    /// Closes idle connections that hung up or are condemned, and idle ones whose socket has hung up unseen. Returns how
    /// many.
    pub fn sweep(&self) -> usize {
        self.process.collect();
        self.evict()
    }

    /// Every connection is replaced before its next use: idle ones are closed now, leased ones when they come back.
    pub fn reload(&self) -> usize {
        {
            let mut inner = lock(&self.inner);
            inner.generation += 1;
            inner.state.connections().for_each(|kept| kept.condemn());
        }
        self.evict()
    }

    /// Changes the size.
    pub fn resize(&self, size: usize) {
        lock(&self.options).size = size;
        let (gone, slots) = {
            let mut inner = lock(&self.inner);
            let gone = inner.state.resize(size);
            (gone, std::iter::from_fn(|| inner.state.open_one()).collect::<Vec<_>>())
        };
        self.part_with(gone);
        slots.into_iter().for_each(|slot| self.open(slot));
    }

    /// Closes the pool for good: idle connections go now, leased ones when they come back, and whoever waits is told.
    pub fn close(&self) {
        let (idle, wakers) = {
            let mut inner = lock(&self.inner);
            let (idle, tickets) = inner.state.close();
            (idle, inner.waiting.refuse(&tickets, &self.closed()))
        };
        wakers.into_iter().for_each(|wake| wake());
        self.say_goodbye(idle);
    }

    /// Whether nothing is open any more.
    pub fn is_drained(&self) -> bool {
        let numbers = self.numbers();
        numbers.idle + numbers.leased + numbers.opening + numbers.away == 0
    }

    /// Closes idle connections, healthy ones too: before a fork, and where a process comes to rest.
    pub fn close_idle(&self) -> usize {
        let idle = lock(&self.inner).state.take_idle(|_, _, _| true);
        let count = idle.len();
        self.say_goodbye(idle);
        count
    }

    /// Whether it is this process's own, and not inherited by a fork.
    pub fn is_of(&self, process: &'static Process) -> bool {
        std::ptr::eq(self.process, process)
    }

    /// What became of a wait that a fork has cut off.
    pub fn left_behind(&self) -> Error {
        self.not_held(Misuse::Gone)
    }

    /// The error of a step that took too long.
    pub fn late(&self, step: Step, limit: Duration, details: String) -> Error {
        Error::Timeout {
            pool: self.name.clone(),
            step,
            limit,
            numbers: self.numbers(),
            details,
        }
    }

    /// Its options, as they are now.
    pub fn options(&self) -> Options {
        lock(&self.options).clone()
    }

    /// Drops idle condemned connections.
    fn evict(&self) -> usize {
        let dead = lock(&self.inner).state.take_idle(|_, kept, _| kept.is_dead());
        let count = dead.len();
        for _ in &dead {
            self.count(Counter::Evicted);
        }
        self.part_with(dead);
        count
    }

    /// Does what a step has asked for.
    fn follow(&self, outcome: Outcome<Box<Kept>>) {
        match outcome {
            Outcome::Done => {}
            Outcome::Handed(ticket) => self.wake(ticket),
            Outcome::Close(kept) => {
                self.part_with(vec![kept]);
                self.refill();
            }
            Outcome::Vacant => self.refill(),
            Outcome::Clean(slot, kept) => self.clean(slot, kept),
        }
    }

    /// A slot has come free: somebody may be waiting for it.
    fn refill(&self) {
        let slot = lock(&self.inner).state.open_one();
        if let Some(slot) = slot {
            self.open(slot);
        }
    }

    fn wake(&self, ticket: Ticket) {
        let wake = lock(&self.inner).waiting.waker(ticket);
        if let Some(wake) = wake {
            wake();
        }
    }

    /// Closes connections without a word, in the background: the server has gone, or is not to be waited for.
    fn part_with(&self, kept: Vec<Box<Kept>>) {
        if kept.is_empty() {
            return;
        }
        if let Ok(runtime) = self.process.runtime() {
            runtime.spawn(async move { drop(kept) });
        }
    }

    fn say_goodbye(&self, kept: Vec<Box<Kept>>) {
        const LIMIT: Duration = Duration::from_secs(1);
        if let Ok(runtime) = self.process.runtime() {
            for kept in kept {
                runtime.spawn(async move {
                    let _ = tokio::time::timeout(LIMIT, kept.close()).await;
                });
            }
        }
    }

    fn count(&self, counter: Counter) {
        self.process.mirror(|mirror| mirror.count(self.number, counter, false));
    }

    fn closed(&self) -> Error {
        Error::Closed {
            pool: self.name.clone(),
        }
    }

    fn not_held(&self, how: Misuse) -> Error {
        Error::NotHeld {
            pool: self.name.clone(),
            how,
        }
    }

    fn host_down(&self, cause: Failure) -> Error {
        Error::HostDown {
            pool: self.name.clone(),
            host: self.backend.address().to_string(),
            cause: Box::new(cause),
        }
    }

    fn evidence_of(&self, lease: &crate::pool::Lease<Box<Kept>>) -> Option<(Arc<str>, Instant, Instant)> {
        let kept = lease.connection()?;
        let since = Instant::now().checked_sub(lease.since.elapsed())?;
        (lease.used && !kept.is_dead()).then(|| (kept.host.clone(), kept.opened_at, since))
    }

    fn this(&self) -> Option<Arc<NativePool>> {
        self.this.upgrade()
    }
}

impl Drop for NativePool {
    fn drop(&mut self) {
        let idle = lock(&self.inner).state.close().0;
        self.say_goodbye(idle);
        let (process, number) = (self.process, self.number);
        process.mirror(|mirror| mirror.forget_pool(number));
    }
}
