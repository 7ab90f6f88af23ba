//! What is done with a connection that its owner left in the middle of something.

use std::time::Duration;

use tokio::time::timeout;

use super::connection::{Kept, Transaction};
use super::open::Holding;
use super::NativePool;
use crate::backend::Failure;
use crate::clock::Moment;
use crate::event::Notice;
use crate::lock::lock;
use crate::pool::SlotId;
use crate::stats::Counter;

/// For so long a slot waits for its connection to be cleaned, and no longer.
pub(super) const LIMIT: Duration = Duration::from_secs(1);

impl NativePool {
    /// Rolls back what was left open, and lends the connection again once it has answered; else it is dropped.
    pub(super) fn clean(&self, slot: SlotId, kept: Box<Kept>) {
        let (Some(pool), Ok(runtime)) = (self.this(), self.process.runtime()) else {
            drop(kept);
            lock(&self.inner).state.vacate(slot);
            return;
        };
        if matches!(kept.transaction, Transaction::Open | Transaction::Failed) && !kept.interrupted {
            self.left_open();
        }
        runtime.spawn(async move {
            let holding = Holding::new(pool.clone(), slot);
            if let Some(kept) = cleaned(kept).await {
                holding.leave();
                pool.back(slot, kept);
            }
        });
    }

    /// A connection that was away is as good as new.
    pub(super) fn back(&self, slot: SlotId, kept: Box<Kept>) {
        let outcome = {
            let mut inner = lock(&self.inner);
            inner.meet(&kept);
            inner.state.cleaned(slot, kept, Moment::now())
        };
        self.follow(outcome);
    }

    fn left_open(&self) {
        self.count(Counter::Leaked);
        self.process.notify(Notice {
            name: "connection.leaked".to_owned(),
            pool: Some(self.number),
            host: Some(self.backend.address().to_string()),
            reason: Some("rolled back".to_owned()),
            ..Notice::default()
        });
    }
}

/// The connection with nothing open, as its server has said in time.
pub(super) async fn cleaned(mut kept: Box<Kept>) -> Option<Box<Kept>> {
    let clean = timeout(LIMIT, roll_back(&mut kept)).await;
    (matches!(clean, Ok(Ok(()))) && !kept.is_dead()).then_some(kept)
}

async fn roll_back(kept: &mut Kept) -> Result<(), Failure> {
    if kept.interrupted {
        // A late answer to a cancel is meant for the statement that was cancelled.
        let _ = kept.session.ping().await;
    }
    kept.session.reset().await?;
    kept.transaction = Transaction::None;
    kept.unsettled = false;
    kept.depth = 0;
    kept.interrupted = false;
    kept.answered_at = Moment::now();
    Ok(())
}
