//! How a statement runs in the background, and how it ends: answered, abandoned by its owner, or late.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::clean::{cleaned, LIMIT};
use super::connection::{Kept, Transaction};
use super::statement::{Statement, Telling, CHECK};
use super::transaction::{begin, commit, roll_back};
use super::NativePool;
use crate::backend::{Failure, Kind, SessionId};
use crate::error::{Misuse, Step};
use crate::sql::{effect, Effect, Rows};
use crate::trip;

/// So much longer than the server's own limit on a statement ours is: the server's answer is the better one.
const GRACE: Duration = Duration::from_secs(1);
/// How long after a cancel the next one is sent: one that comes between two steps of a statement ends nothing.
const AGAIN: Duration = Duration::from_millis(100);
/// Said instead of running a statement that the server would run, and keep, by itself.
const LOST: &str = "the server has rolled the whole transaction back, so this statement was not sent; let the error \
                    leave the outermost transaction block, and run the block again";

/// Runs one statement on a connection, and tells its owner what it came to. `used`: whether another was sent in this lease
/// before.
pub(super) async fn run(telling: Telling, kept: Box<Kept>, used: bool, statement: Statement) {
    let pool = telling.pool.clone();
    trip::here("statement");
    let abandoned = || pool.not_held(Misuse::Broken);
    let mut kept = match used {
        true => kept,
        // Whoever gave up while nothing had been sent is not to find it done later.
        false => tokio::select! {
            biased;
            () = telling.work.abandoned.notified() => return telling.tell(None, Err(abandoned())),
            fit = pool.fit_for_use(kept) => match fit {
                Ok(kept) => {
                    telling.work.is_over(&kept);
                    kept
                }
                Err(error) => return telling.tell(None, Err(error)),
            },
        },
    };
    let sent = Sent {
        effect: match &statement {
            Statement::Query(sql, _) => effect(sql),
            _ => Effect::None,
        },
        rolls_all_back: matches!(statement, Statement::RollBack(0)),
        limit: pool.options().statement_timeout,
        begun: Instant::now(),
    };
    kept.about_to(sent.effect);
    let session = kept.session.id();
    let ended = {
        let begun = AtomicBool::new(false);
        let doing = async {
            begun.store(true, Ordering::Relaxed);
            send(&mut kept, statement).await
        };
        tokio::pin!(doing);
        tokio::select! {
            biased;
            () = telling.work.abandoned.notified() => match begun.load(Ordering::Relaxed) {
                true => Ended::Abandoned(end(&pool, session, &mut doing).await),
                false => Ended::Unsent,
            },
            answer = &mut doing => Ended::Answered(answer),
            () = late(sent.limit) => {
                end(&pool, session, &mut doing).await;
                Ended::Late
            }
        }
    };
    conclude(telling, kept, sent, ended).await;
}

/// What was sent, for how long, and when.
struct Sent {
    effect: Effect,
    /// Its server rolls back what a connection leaves. After one to a savepoint somebody may go on.
    rolls_all_back: bool,
    limit: Option<Duration>,
    begun: Instant,
}

/// Says what a statement came to, and what its connection is good for.
async fn conclude(telling: Telling, mut kept: Box<Kept>, sent: Sent, ended: Ended) {
    let pool = telling.pool.clone();
    match ended {
        Ended::Answered(Ok(rows)) => {
            kept.answered(sent.effect, None);
            telling.tell(Some(kept), Ok(rows));
        }
        Ended::Answered(Err(failure)) => {
            let error = match sent.limit {
                Some(limit) if failure.cuts_off() && sent.begun.elapsed() >= limit => {
                    pool.late(Step::Query, limit, format!("; {failure}"))
                }
                _ => pool.failed(&kept, &failure),
            };
            if failure.ends_session() {
                // Before its owner hears of it and its slot is free: nothing is open then that is not counted.
                drop(kept);
                let result = if sent.rolls_all_back {
                    Ok(Rows::default())
                } else {
                    Err(error)
                };
                return telling.tell(None, result);
            }
            kept.answered(sent.effect, Some(&failure));
            telling.tell(Some(kept), Err(error));
        }
        Ended::Unsent => telling.tell(Some(kept), Err(pool.not_held(Misuse::Broken))),
        Ended::Abandoned(drained) => {
            // Whoever holds the lease goes on where the server has ended the statement, outside of a transaction.
            let error = pool.not_held(Misuse::Broken);
            kept.interrupted = true;
            let was_open = kept.transaction != Transaction::None;
            let kept = match drained {
                true => cleaned(kept).await,
                false => {
                    drop(kept);
                    None
                }
            };
            telling.tell(kept.filter(|_| !was_open), Err(error));
        }
        Ended::Late => {
            drop(kept);
            let limit = sent.limit.unwrap_or_default();
            let error = pool.late(Step::Query, limit, "; the connection was dropped".to_owned());
            telling.tell(None, Err(error));
        }
    }
}

/// How a statement ended. An abandoned one tells whether the server has ended it in time.
enum Ended {
    Answered(Result<Rows, Failure>),
    Unsent,
    Abandoned(bool),
    Late,
}

/// Ends a statement on the server, and waits for its answer for a moment: without it nobody knows where the session is.
async fn end<F>(pool: &NativePool, session: SessionId, doing: &mut F) -> bool
where
    F: std::future::Future<Output = Result<Rows, Failure>> + Unpin,
{
    let drained = timeout(LIMIT, async {
        loop {
            // To its end, though the answer may have come: a cancel that is still on its way would end whatever the
            // session does next, for whomever.
            let (_, answer) = tokio::join!(pool.backend.cancel(session), async {
                tokio::select! {
                    answer = &mut *doing => Some(answer),
                    () = sleep(AGAIN) => None,
                }
            });
            if let Some(answer) = answer {
                break answer;
            }
        }
    });
    matches!(drained.await, Ok(answer) if answer.as_ref().err().is_none_or(|failure| !failure.ends_session()))
}

async fn send(kept: &mut Kept, statement: Statement) -> Result<Rows, Failure> {
    let begins = matches!(&statement, Statement::Begin);
    let runs = matches!(&statement, Statement::Query(sql, _) if effect(sql) != Effect::Ends);
    if kept.has_lost_transaction() && (begins || runs) {
        return Err(Failure::new(Kind::Value, LOST));
    }
    match statement {
        Statement::Query(sql, parameters) => kept.session.query(&sql, parameters).await,
        Statement::Begin => begin(kept).await.map(|()| Rows::default()),
        Statement::Commit(level) => commit(kept, level).await.map(|()| Rows::default()),
        Statement::RollBack(level) => timeout(LIMIT, roll_back(kept, level))
            .await
            // Its server rolls back what a connection leaves that is dropped.
            .unwrap_or_else(|_| Err(Failure::new(Kind::Late, "the rollback was not answered")))
            .map(|()| Rows::default()),
        Statement::Ping => timeout(CHECK, kept.session.ping())
            .await
            .unwrap_or_else(|_| Err(Failure::new(Kind::Late, "no sign of life within a second")))
            .map(|()| Rows::default()),
    }
}

async fn late(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit + GRACE).await,
        None => std::future::pending().await,
    }
}
