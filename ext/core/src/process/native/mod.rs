//! Native pools at work: their steps are decided in `pool`, their connections are watched, condemned and counted beside
//! those of observed pools, and what takes time is done in the background.

mod clean;
mod connection;
mod lending;
mod open;
mod retiring;
mod running;
mod statement;
mod transaction;
mod upkeep;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::Process;
use crate::backend::{self, Backend, Failure};
use crate::error::{Error, Misuse, Step};
use crate::lock::lock;
use crate::observed::Description;
use crate::owner::OwnerId;
pub use crate::pool::Waker;
use crate::pool::{LeaseCount, Numbers, Options, Outcome, SlotId, State, Ticket, Waiting};
use crate::socket;
use crate::stats::Counter;
use crate::trip;

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
    /// One for each connection that has left the pool and is being closed.
    leaving: Arc<()>,
    this: Weak<NativePool>,
}

struct Inner {
    state: State<Box<Kept>>,
    waiting: Waiting,
    /// The statements under way.
    working: FxHashMap<SlotId, Arc<Work>>,
    /// Who wants to know when the statement under way on a slot is over.
    expecting: FxHashMap<SlotId, Vec<Waker>>,
    down: Option<Down>,
    /// Whether somebody probes.
    probing: bool,
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
        let backend = backend::of(url, &options, self.followed())?;
        Ok(self.native_over(number, backend, options))
    }

    fn native_over(&'static self, number: u64, backend: Box<dyn Backend>, options: Options) -> Arc<NativePool> {
        let description = Description {
            name: options.name.clone(),
            role: String::new(),
            shard: String::new(),
            address: backend.address().to_string(),
            replica: backend.is_for_reading(),
        };
        self.mirror(|mirror| mirror.pool(number, description));
        let state = State::new(options.size);
        let pool = Arc::new_cyclic(|this| NativePool {
            number,
            name: options.name.clone(),
            leases: state.lease_count(),
            leaving: Arc::default(),
            inner: Mutex::new(Inner {
                state,
                waiting: Waiting::default(),
                working: FxHashMap::default(),
                expecting: FxHashMap::default(),
                down: None,
                probing: false,
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

    pub(super) fn native_pool(&self, number: u64) -> Option<Arc<NativePool>> {
        lock(&self.natives).get(&number).and_then(Weak::upgrade)
    }

    /// Drops the idle condemned connections of a native pool. Returns whether there is such a pool.
    pub(super) fn evict_native(&self, pool: u64) -> bool {
        self.native_pool(pool)
            .map(|native| trip::off("eviction") || native.evict() > 0)
            .is_some()
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

    /// On whose behalf there are leases, or are to be.
    pub fn owners(&self) -> Vec<OwnerId> {
        let inner = lock(&self.inner);
        let leases = inner.state.leases().map(|(_, lease)| lease.owner);
        leases.chain(inner.state.waiting()).collect()
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

    /// The leases whose connection is known.
    pub(super) fn busy_leases(&self) -> Vec<BusyLease> {
        busy_leases(&lock(&self.inner))
    }

    /// Does something while a lease is out, which ends under the same lock. Nothing where it has ended.
    pub(super) fn while_out<T>(&self, connection: u64, ticket: u64, act: impl FnOnce() -> T) -> Option<T> {
        let inner = lock(&self.inner);
        let is_meant = |lease: BusyLease| lease.connection == connection && lease.ticket == ticket;
        busy_leases(&inner).into_iter().any(is_meant).then(act)
    }

    /// How its host monitor reaches one of its servers.
    pub(super) fn way_to(&self, host: &str) -> Option<Box<dyn Backend>> {
        self.backend.at(host)
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

    /// Does what a step has asked for.
    fn follow(&self, outcome: Outcome<Box<Kept>>) {
        match outcome {
            Outcome::Done => {}
            Outcome::Handed(ticket) => self.wake(ticket),
            Outcome::Close(kept) => {
                self.say_goodbye(vec![kept]);
                self.refill();
            }
            Outcome::Vacant => self.refill(),
            Outcome::Clean(slot, kept) => self.clean(slot, kept),
            Outcome::Retire(slot, kept) => self.retire(slot, kept),
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

    fn this(&self) -> Option<Arc<NativePool>> {
        self.this.upgrade()
    }
}

/// A lease whose connection is known.
pub(super) struct BusyLease {
    pub(super) connection: u64,
    pub(super) owner: OwnerId,
    pub(super) since: Instant,
    /// Which of the pool's leases it is.
    pub(super) ticket: u64,
}

fn busy_leases(inner: &Inner) -> Vec<BusyLease> {
    let now = Instant::now();
    let leases = inner.state.leases().filter_map(|(slot, lease)| {
        let working = || inner.working.get(&slot).map(|work| work.connection());
        Some(BusyLease {
            connection: lease.connection().map(|kept| kept.number()).or_else(working)?,
            owner: lease.owner,
            since: now.checked_sub(lease.since.elapsed())?,
            ticket: lease.ticket,
        })
    });
    leases.collect()
}

impl Drop for NativePool {
    fn drop(&mut self) {
        // The last to have it may be Ruby's collector, where a panic would end the process. What is left undone then is an
        // entry of the mirror, or connections that the server ends.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let idle = lock(&self.inner).state.close().0;
            self.say_goodbye(idle);
            let (process, number) = (self.process, self.number);
            process.mirror(|mirror| mirror.forget_pool(number));
        }));
    }
}
