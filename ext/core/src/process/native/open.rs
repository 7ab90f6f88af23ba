//! Connecting, and what becomes of waiters while a server cannot be reached.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout_at};

use super::connection::Kept;
use super::{Down, NativePool};
use crate::backend::{Failure, Kind};
use crate::clock::Moment;
use crate::error::Error;
use crate::fault::Fault;
use crate::lock::lock;
use crate::pool::SlotId;
use crate::trip;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_LIMIT: Duration = Duration::from_secs(365 * 86_400);

/// What the slot of a failed connect is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Whoever comes now may try; those who waited have been told.
    TryAtOnce,
    /// Those who wait get what others give back: at once the server would refuse again.
    WaitForOurs,
}

/// Gives a slot back, whatever becomes of the task that has it.
pub(super) struct Holding {
    pool: Arc<NativePool>,
    slot: Option<SlotId>,
}

impl Holding {
    pub(super) fn new(pool: Arc<NativePool>, slot: SlotId) -> Self {
        Holding { pool, slot: Some(slot) }
    }

    /// The slot is somebody else's from now on.
    pub(super) fn leave(mut self) {
        self.slot = None;
    }

    /// Gives the slot back, and has nobody try again at once.
    fn stand_back(mut self) {
        if let Some(slot) = self.slot.take() {
            lock(&self.pool.inner).state.vacate(slot);
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let Some(slot) = self.slot else {
            return;
        };
        lock(&self.pool.inner).state.vacate(slot);
        if std::thread::panicking() {
            // Tried at once it would only panic again.
            self.pool.tell_of_panic();
        } else {
            self.pool.refill();
        }
    }
}

impl NativePool {
    /// Opens a connection in a slot that was taken for it.
    pub(super) fn open(&self, slot: SlotId) {
        let Some(pool) = self.this() else {
            return;
        };
        match self.process.runtime() {
            Ok(runtime) => {
                runtime.spawn(async move { pool.open_in(slot).await });
            }
            Err(error) => {
                let wakers = {
                    let mut inner = lock(&self.inner);
                    inner.state.vacate(slot);
                    let tickets = inner.state.dismiss();
                    inner.waiting.refuse(&tickets, &error)
                };
                wakers.into_iter().for_each(|wake| wake());
            }
        }
    }

    async fn open_in(self: Arc<Self>, slot: SlotId) {
        let holding = Holding::new(self.clone(), slot);
        match self.connect().await {
            Ok(kept) => {
                holding.leave();
                self.opened(slot, kept);
            }
            Err(failure) => {
                // Told first: whoever is refilled with the slot is to find the server down already.
                match self.connect_failed(&failure) {
                    Next::TryAtOnce => drop(holding),
                    Next::WaitForOurs => holding.stand_back(),
                }
            }
        }
    }

    /// One attempt, within its limit.
    pub(super) async fn connect(&self) -> Result<Box<Kept>, Failure> {
        let options = self.options();
        let asked_at = Instant::now();
        let generation = lock(&self.inner).generation;
        let deadline = later(options.connect_timeout);
        let opened = match timeout_at(deadline, self.backend.connect(deadline)).await {
            Ok(opened) => opened?,
            Err(_) => {
                let text = format!("no connection after {:?} (connect_timeout)", options.connect_timeout);
                return Err(Failure::new(Kind::Late, text));
            }
        };
        let lifetime = options.max_lifetime.map(|time| time - time.mul_f64(chance() / 40.0));
        let mut kept = Kept::new(self.process, self.number, opened, asked_at, lifetime);
        kept.generation = generation;
        // Whoever has connected: the server can be reached.
        lock(&self.inner).down = None;
        if self.process.hosts.any_incident() {
            let (address, now) = (self.backend.address(), Instant::now());
            self.process
                .works(&address, Some(self.number), Some(asked_at), asked_at, now);
        }
        Ok(kept)
    }

    fn opened(&self, slot: SlotId, kept: Box<Kept>) {
        let outcome = {
            let mut inner = lock(&self.inner);
            inner.meet(&kept);
            inner.state.opened(slot, kept, Moment::now())
        };
        self.follow(outcome);
    }

    /// Tells whoever waits, and begins to probe where the server cannot be reached.
    pub(super) fn connect_failed(&self, failure: &Failure) -> Next {
        let fault = failure.fault_of_connect();
        let error = self.connect_error(failure, fault);
        if fault == Some(Fault::Unreachable) {
            self.not_reached(failure);
        }
        let (begins, wakers) = {
            let mut inner = lock(&self.inner);
            // The server has all the connections that it takes: one of those will come back, and upkeep tries again.
            let others = inner.state.numbers();
            if fault == Some(Fault::Overloaded) && others.leased + others.away > 0 {
                return Next::WaitForOurs;
            }
            let tickets = inner.state.dismiss();
            let wakers = inner.waiting.refuse(&tickets, &error);
            let down = fault == Some(Fault::Unreachable) && !inner.state.is_closed();
            inner.down = (down && !trip::off("down")).then(|| Down { cause: failure.clone() });
            // One is enough, however often the server comes and goes.
            let begins = down && !std::mem::replace(&mut inner.probing, true);
            (begins, wakers)
        };
        wakers.into_iter().for_each(|wake| wake());
        if begins {
            self.begin_probing();
        }
        Next::TryAtOnce
    }

    /// That no server has the wanted role is nobody's incident but the pool's own: those which were asked may be well.
    fn not_reached(&self, failure: &Failure) {
        let now = Instant::now();
        let address = self.backend.address();
        if failure.kind == Kind::Role || address.contains(',') {
            self.process
                .open_incident(&address, Fault::Unreachable, "an error said so", now);
        } else {
            self.process.incident(self.number, Fault::Unreachable, now);
        }
    }

    fn tell_of_panic(&self) {
        let failure = Failure::panicked();
        let error = self.connect_error(&failure, None);
        let wakers = {
            let mut inner = lock(&self.inner);
            let tickets = inner.state.dismiss();
            inner.waiting.refuse(&tickets, &error)
        };
        wakers.into_iter().for_each(|wake| wake());
    }

    fn begin_probing(&self) {
        let (Some(pool), Ok(runtime)) = (self.this(), self.process.runtime()) else {
            lock(&self.inner).probing = false;
            return;
        };
        let pool = Arc::downgrade(&pool);
        runtime.spawn(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                // Not held while it sleeps: a pool that is gone is probed no more.
                let Some(pool) = pool.upgrade() else { return };
                // In a task of its own: a panic must not end the probing, for nobody would begin it again.
                let _ = tokio::spawn(pool.clone().probe()).await;
                let mut inner = lock(&pool.inner);
                if inner.down.is_none() || inner.state.is_closed() {
                    inner.probing = false;
                    return;
                }
            }
        });
    }

    /// Tries whether the server can be reached again.
    async fn probe(self: Arc<Self>) {
        let slot = {
            let mut inner = lock(&self.inner);
            if inner.state.is_closed() || inner.down.is_none() {
                return;
            }
            inner.state.open_spare()
        };
        // Without one all are held by owners that have not noticed yet.
        if let Some(slot) = slot {
            self.open_in(slot).await;
        }
    }

    pub(super) fn connect_error(&self, failure: &Failure, fault: Option<Fault>) -> Error {
        if fault == Some(Fault::Unreachable) {
            return self.host_down(failure.clone());
        }
        Error::Connection {
            pool: self.name.clone(),
            host: self.backend.address().to_string(),
            doing: "cannot connect to",
            remedy: remedy(failure),
            cause: Box::new(failure.clone()),
        }
    }
}

/// A limit may be as long as numbers go, and time may not.
fn later(limit: Duration) -> tokio::time::Instant {
    tokio::time::Instant::now() + limit.min(LONGEST_LIMIT)
}

fn remedy(failure: &Failure) -> &'static str {
    match (failure.kind, failure.sqlstate.as_deref(), failure.number) {
        (Kind::Tls, _, _) => "; look at the certificates, and at sslmode in the URL",
        (Kind::Protocol, _, _) => "; is that the right port?",
        (_, Some("28P01" | "28000"), _) | (_, _, Some(1045)) => "; look at the user and the password in the URL",
        (_, Some("3D000"), _) | (_, _, Some(1049)) => "; look at the database in the URL",
        (_, Some("53300"), _) | (_, _, Some(1040)) => "; make the pool smaller, or max_connections larger",
        _ => "",
    }
}

/// A number from 0 to 1, as good as a scatter in time needs it.
fn chance() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    #[allow(clippy::cast_precision_loss)]
    let number = RandomState::new().hash_one(0_u8) as f64;
    #[allow(clippy::cast_precision_loss)]
    let most = u64::MAX as f64;
    number / most
}
