//! Statements: the owner waits, and the background runs them. A connection is with its lease or with its statement,
//! never with both, so whoever ends the lease meanwhile cannot get in the way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::connection::Kept;
use super::running::run;
use super::{NativePool, Waker};
use crate::backend::Failure;
use crate::clock::Moment;
use crate::error::{Error, Misuse};
use crate::fault::Fault;
use crate::lock::lock;
use crate::owner::OwnerId;
use crate::pool::{Refused, SlotId, Ticket};
use crate::sql::{Rows, Value};
use crate::trip;

/// How long a sign of life may take.
pub(super) const CHECK: Duration = Duration::from_secs(1);

/// What is to be run.
#[derive(Debug)]
pub enum Statement {
    /// One statement with its parameters.
    Query(String, Vec<Value>),
    /// Begins a transaction; within one of our own, a savepoint.
    Begin,
    /// Commits the transaction, or the savepoint, that began when so many were open.
    Commit(u32),
    /// Rolls back until so many are open; nothing where no more are.
    RollBack(u32),
    /// A sign of life.
    Ping,
}

/// A statement under way.
pub struct Work {
    result: Mutex<Option<Result<Rows, Error>>>,
    pub(super) abandoned: Notify,
    wake: Waker,
    connection: AtomicU64,
}

impl Work {
    /// By what the account of all connections knows the one it is sent over.
    pub(super) fn connection(&self) -> u64 {
        self.connection.load(Ordering::Relaxed)
    }

    /// It is sent over another connection than the one it was to.
    pub(super) fn is_over(&self, kept: &Kept) {
        self.connection.store(kept.number(), Ordering::Relaxed);
    }

    /// What it came to, once it has.
    pub fn result(&self) -> Option<Result<Rows, Error>> {
        lock(&self.result).take()
    }

    /// Nobody waits for it any more: it is to be ended on the server, and its connection to be cleaned.
    pub fn abandon(&self) {
        if trip::off("cancel") {
            return;
        }
        self.abandoned.notify_one();
    }

    fn finish(&self, result: Result<Rows, Error>) {
        *lock(&self.result) = Some(result);
        (self.wake)();
    }
}

/// Says that a statement has failed, where the task that runs it ends without having said anything: it panicked.
pub(super) struct Telling {
    pub(super) work: Arc<Work>,
    pub(super) pool: Arc<NativePool>,
    slot: SlotId,
    ticket: Ticket,
    told: bool,
}

impl Telling {
    /// The connection goes back before the owner is told, so that its next statement finds it.
    pub(super) fn tell(mut self, kept: Option<Box<Kept>>, result: Result<Rows, Error>) {
        self.told = true;
        self.pool.bring_back(self.slot, self.ticket, kept);
        self.work.finish(result);
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if !self.told {
            self.pool.bring_back(self.slot, self.ticket, None);
            let failure = Failure::panicked();
            self.work
                .finish(Err(self.pool.broken(self.pool.backend.address(), &failure)));
        }
    }
}

impl NativePool {
    /// Begins a statement on the connection that an owner holds. `wake` is called when [`Work::result`] has an answer.
    ///
    /// # Errors
    ///
    /// [`Error::NotHeld`] where this owner holds no such connection, or one that cannot be used now.
    pub fn start(&self, slot: SlotId, owner: OwnerId, statement: Statement, wake: Waker) -> Result<Arc<Work>, Error> {
        let runtime = self.process.runtime()?;
        let pool = self.this().ok_or_else(|| self.closed())?;
        let (work, ticket, used, kept) = {
            let mut inner = lock(&self.inner);
            let taken = inner.state.take(slot, owner).map_err(|refused| {
                self.not_held(match refused {
                    Refused::NotLeased => Misuse::Gone,
                    Refused::Busy => Misuse::Busy,
                    Refused::Broken => Misuse::Broken,
                })
            })?;
            let (ticket, used, kept) = taken;
            let work = Arc::new(Work {
                result: Mutex::default(),
                abandoned: Notify::new(),
                wake,
                connection: AtomicU64::new(kept.number()),
            });
            inner.working.insert(slot, work.clone());
            (work, ticket, used, kept)
        };
        let telling = Telling {
            work: work.clone(),
            pool,
            slot,
            ticket,
            told: false,
        };
        runtime.spawn(run(telling, kept, used, statement));
        Ok(work)
    }

    /// Has somebody woken when the statement under way on a slot is over. Returns whether there is one.
    pub fn when_back(&self, slot: SlotId, owner: OwnerId, wake: Waker) -> bool {
        let mut inner = lock(&self.inner);
        let busy = inner.state.is_busy(slot, owner);
        if busy {
            inner.expecting.entry(slot).or_default().push(wake);
        }
        busy
    }

    fn bring_back(&self, slot: SlotId, ticket: Ticket, kept: Option<Box<Kept>>) {
        let (outcome, expecting) = {
            let mut inner = lock(&self.inner);
            let outcome = match kept {
                Some(kept) => {
                    inner.meet(&kept);
                    inner.state.bring_back(slot, ticket, kept)
                }
                None => inner.state.broke(slot, ticket),
            };
            inner.working.remove(&slot);
            (outcome, inner.expecting.remove(&slot).unwrap_or_default())
        };
        self.follow(outcome);
        expecting.into_iter().for_each(|wake| wake());
    }

    fn broken(&self, host: Arc<str>, cause: &Failure) -> Error {
        Error::Connection {
            pool: self.name.clone(),
            host: host.to_string(),
            doing: "lost the connection to",
            cause: Box::new(cause.clone()),
            remedy: "; what was sent may have been done or not",
        }
    }

    /// What an error says about a connection that was in use is acted on, and told to its owner.
    pub(super) fn failed(&self, kept: &Kept, failure: &Failure) -> Error {
        let to_be_expected = |fault: &Fault| *fault == Fault::Demoted && self.backend.is_for_reading();
        let fault = failure.fault().filter(|fault| !to_be_expected(fault));
        if let Some(fault) = fault {
            self.process.native_fault(fault, self.number, kept.number(), &kept.host);
        }
        match fault {
            Some(Fault::Demoted) => Error::ReadOnly {
                pool: self.name.clone(),
                host: kept.host.to_string(),
                cause: Box::new(failure.clone()),
            },
            _ if failure.ends_session() => self.broken(kept.host.clone(), failure),
            _ => Error::Query {
                pool: self.name.clone(),
                cause: Box::new(failure.clone()),
            },
        }
    }

    /// Makes sure that a connection lives which is about to be used for the first time in its lease: nothing has been
    /// sent yet, so another may take its place.
    pub(super) async fn fit_for_use(&self, mut kept: Box<Kept>) -> Result<Box<Kept>, Error> {
        if trip::off("look") {
            return Ok(kept);
        }
        let idle = kept.answered_at.elapsed();
        if !kept.is_dead() && !kept.is_unseen() && idle <= self.options().check_idle_after {
            return Ok(kept);
        }
        if !kept.is_dead() && matches!(timeout(CHECK, kept.session.ping()).await, Ok(Ok(()))) {
            kept.answered_at = Moment::now();
            return Ok(kept);
        }
        drop(kept);
        self.count(crate::stats::Counter::Dropped);
        self.connect().await.map_err(|failure| {
            self.connect_failed(&failure);
            self.connect_error(&failure, failure.fault_of_connect())
        })
    }
}
