//! What a pool sees to by itself: connections that are idle for too long, too old, or missing.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::open::Holding;
use super::NativePool;
use crate::clock::Moment;
use crate::event::{Event, Overdue};
use crate::lock::lock;
use crate::pool::Standing;
use crate::trip;

/// How often a pool is looked after.
const TURN: Duration = Duration::from_secs(1);
const CHECK: Duration = Duration::from_secs(1);

impl NativePool {
    pub(super) fn keep_up(&self) {
        let (Some(pool), Ok(runtime)) = (self.this(), self.process.runtime()) else {
            return;
        };
        let pool = std::sync::Arc::downgrade(&pool);
        runtime.spawn(async move {
            loop {
                {
                    // Not held while it sleeps: a pool that is gone is looked after no more.
                    let Some(pool) = pool.upgrade() else { return };
                    if lock(&pool.inner).state.is_closed() {
                        return;
                    }
                    // In a task of its own: a panic must not end the upkeep, for nobody would begin it again.
                    let _ = tokio::spawn(async move {
                        pool.report_old_leases();
                        pool.shrink();
                        pool.fill();
                        pool.keep_alive().await;
                    })
                    .await;
                }
                sleep(TURN).await;
            }
        });
    }

    fn report_old_leases(&self) {
        let Some(threshold) = self.options().leak_threshold else {
            return;
        };
        let old = lock(&self.inner).state.report_old(threshold, Moment::now());
        for (owner, age) in old.into_iter().filter(|_| !trip::off("overdue")) {
            self.process.events.push(Event::Overdue(Overdue {
                pool: self.number,
                connection: None,
                owner,
                seconds: age.as_secs_f64(),
            }));
        }
    }

    /// Closes what is too old, and what is idle for too long, the oldest first and down to `min`.
    fn shrink(&self) {
        let options = self.options();
        let now = Moment::now();
        let gone = {
            let mut inner = lock(&self.inner);
            let numbers = inner.state.numbers();
            let mut spare = (numbers.idle + numbers.leased).saturating_sub(options.min);
            inner.state.take_idle(|_, kept, since| {
                if kept.is_old(now) {
                    spare = spare.saturating_sub(1);
                    return true;
                }
                let idle = options.idle_timeout.is_some_and(|limit| now.since(since) > limit);
                let goes = idle && spare > 0;
                spare -= usize::from(goes);
                goes
            })
        };
        self.say_goodbye(gone);
    }

    /// Opens what is missing to `min`, and for those who wait since the server had no connection to give.
    fn fill(&self) {
        let options = self.options();
        let slots: Vec<_> = {
            let mut inner = lock(&self.inner);
            if inner.down.is_some() || inner.state.is_resting() {
                return;
            }
            let numbers = inner.state.numbers();
            let there = numbers.idle + numbers.leased + numbers.opening + numbers.away;
            let mut slots: Vec<_> = (there..options.min).map_while(|_| inner.state.open_spare()).collect();
            slots.extend(std::iter::from_fn(|| inner.state.open_one()));
            slots
        };
        slots.into_iter().for_each(|slot| self.open(slot));
    }

    /// Asks idle connections for a sign of life, one after the other; what does not answer goes.
    async fn keep_alive(&self) {
        let Some(keepalive) = self.options().keepalive else {
            return;
        };
        let turn = Moment::now();
        loop {
            let mut idle_since = turn;
            let borrowed = lock(&self.inner).state.borrow_idle(|kept, since| {
                idle_since = since;
                turn.since(kept.answered_at) > keepalive
            });
            let (Some((slot, mut kept)), Some(pool)) = (borrowed, self.this()) else {
                return;
            };
            let holding = Holding::new(pool, slot);
            if matches!(timeout(CHECK, kept.session.ping()).await, Ok(Ok(()))) {
                kept.answered_at = Moment::now();
                holding.leave();
                let outcome = {
                    let mut inner = lock(&self.inner);
                    inner.meet(&kept);
                    inner.state.put_back(slot, kept, idle_since, Moment::now())
                };
                self.follow(outcome);
            }
        }
    }
}
