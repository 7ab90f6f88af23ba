//! Transactions of `transaction` blocks, and the savepoints of those within them.

use super::connection::{Kept, Transaction};
use crate::backend::{Failure, Kind};
use crate::sql::Effect;

/// Begins a transaction; within one, a savepoint.
pub(super) async fn begin(kept: &mut Kept) -> Result<(), Failure> {
    match kept.depth {
        0 => {
            // Sent is begun, whatever comes of the answer.
            kept.about_to(Effect::Begins);
            let begun = kept.session.command("BEGIN").await;
            if let Err(refused) = begun {
                kept.answered(Effect::Begins, Some(&refused));
                return Err(refused);
            }
        }
        depth => kept.session.command(&format!("SAVEPOINT poolkeeper_{depth}")).await?,
    }
    kept.depth += 1;
    Ok(())
}

/// Commits what began when so many were open.
pub(super) async fn commit(kept: &mut Kept, level: u32) -> Result<(), Failure> {
    if kept.depth != level + 1 || kept.transaction == Transaction::None {
        let text =
            "this transaction is not open any more, so nothing of it is committed; was it ended in the block, or \
                    by an interrupt?";
        return Err(Failure::new(Kind::Value, text));
    }
    if kept.transaction == Transaction::Failed {
        let text =
            "a statement of this transaction has failed, so nothing of it is committed; let its error leave the \
                    block";
        return Err(Failure::new(Kind::Value, text));
    }
    match level {
        0 => {
            kept.session.command("COMMIT").await?;
            kept.transaction = Transaction::None;
        }
        level => {
            let release = format!("RELEASE SAVEPOINT poolkeeper_{level}");
            kept.session.command(&release).await?;
        }
    }
    kept.depth = level;
    Ok(())
}

/// Rolls back until so many are open.
pub(super) async fn roll_back(kept: &mut Kept, level: u32) -> Result<(), Failure> {
    if kept.depth <= level {
        return Ok(());
    }
    match level {
        0 => {
            kept.session.reset().await?;
            kept.transaction = Transaction::None;
        }
        // Its savepoint has gone with the transaction.
        _ if kept.has_lost_transaction() => {}
        level => {
            let back = format!("ROLLBACK TO SAVEPOINT poolkeeper_{level}");
            kept.session.command(&back).await?;
            kept.transaction = Transaction::Open;
        }
    }
    kept.depth = level;
    Ok(())
}
