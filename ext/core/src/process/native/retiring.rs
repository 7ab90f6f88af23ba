//! Connections that leave their pool, one by one or with it.

use std::sync::Arc;
use std::time::Duration;

use super::connection::Boxed;
use super::open::Holding;
use super::NativePool;
use crate::lock::lock;
use crate::pool::SlotId;
use crate::stats::Counter;

/// For so long a server is spoken to that may not listen.
const GOODBYE: Duration = Duration::from_secs(1);

impl NativePool {
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

    /// Whether nothing is open any more, and every server has heard of it.
    pub fn is_drained(&self) -> bool {
        self.kept() == 0 && Arc::strong_count(&self.leaving) == 1 && self.has_closed_files()
    }

    /// Whether no connection that has left the pool still has a file open. Sockets do not matter: a forked child parts
    /// from those.
    pub fn has_closed_files(&self) -> bool {
        self.backend.open_files() <= self.kept()
    }

    fn kept(&self) -> usize {
        let numbers = self.numbers();
        numbers.idle + numbers.leased + numbers.opening + numbers.away
    }

    /// Closes a connection whose time is up before another is opened in its slot: the server may have no room for both.
    pub(super) fn retire(&self, slot: SlotId, kept: Boxed) {
        let (Some(pool), Ok(runtime)) = (self.this(), self.process.runtime()) else {
            drop(kept);
            lock(&self.inner).state.vacate(slot);
            return;
        };
        runtime.spawn(async move {
            let holding = Holding::new(pool, slot);
            let _ = tokio::time::timeout(GOODBYE, kept.close()).await;
            drop(holding);
        });
    }

    /// Closes idle connections, healthy ones too: before a fork, and where a process comes to rest. Until somebody asks
    /// for one none is opened, whatever the pool is to keep open, and none kept that comes back or was being opened.
    pub fn close_idle(&self) -> usize {
        let idle = lock(&self.inner).state.rest();
        let count = idle.len();
        self.say_goodbye(idle);
        count
    }

    /// Drops idle condemned connections.
    pub(super) fn evict(&self) -> usize {
        let dead = lock(&self.inner).state.take_idle(|_, kept, _| kept.is_dead());
        let count = dead.len();
        for _ in &dead {
            self.count(Counter::Evicted);
        }
        self.part_with(dead);
        count
    }

    /// Closes connections without a word, in the background: the server has gone, or is not to be waited for.
    pub(super) fn part_with(&self, kept: Vec<Boxed>) {
        if kept.is_empty() {
            return;
        }
        if let Ok(runtime) = self.process.runtime() {
            let leaving = self.leaving.clone();
            runtime.spawn(async move { drop((kept, leaving)) });
        }
    }

    /// Closes connections in the background with a word to the server, where it is there to hear it.
    pub(super) fn say_goodbye(&self, kept: Vec<Boxed>) {
        let (dead, well): (Vec<_>, Vec<_>) = kept.into_iter().partition(|kept| kept.is_dead());
        self.part_with(dead);
        if let Ok(runtime) = self.process.runtime() {
            for kept in well {
                let leaving = self.leaving.clone();
                runtime.spawn(async move {
                    let _ = tokio::time::timeout(GOODBYE, kept.close()).await;
                    drop(leaving);
                });
            }
        }
    }
}
