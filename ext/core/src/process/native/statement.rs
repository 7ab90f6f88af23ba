//! Statements: the owner waits, and the background runs them. A connection is with its lease or with its statement,
//! never with both, so whoever ends the lease meanwhile cannot get in the way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::clean::LIMIT;
use super::connection::{Kept, Transaction};
use super::{NativePool, Waker};
use crate::backend::{Failure, Kind, SessionId};
use crate::clock::Moment;
use crate::error::{Error, Misuse, Step};
use crate::fault::Fault;
use crate::lock::lock;
use crate::owner::OwnerId;
use crate::pool::{Refused, SlotId, Ticket};
use crate::sql::{effect, Effect, Rows, Value};
use crate::trip;

/// So much longer than the server's own limit on a statement ours is: the server's answer is the better one.
const GRACE: Duration = Duration::from_secs(1);
/// How long after a cancel the next one is sent: one that comes between two steps of a statement ends nothing.
const AGAIN: Duration = Duration::from_millis(100);
/// How long a sign of life may take.
const CHECK: Duration = Duration::from_secs(1);
/// Said instead of running a statement that the server would run, and keep, by itself.
const LOST: &str = "the server has rolled the whole transaction back, so this statement was not sent; let the error \
                    leave the outermost transaction block, and run the block again";

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
    abandoned: Notify,
    wake: Waker,
}

impl Work {
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
struct Telling {
    work: Arc<Work>,
    pool: Arc<NativePool>,
    slot: SlotId,
    ticket: Ticket,
    told: bool,
}

impl Telling {
    /// The connection goes back before the owner is told, so that its next statement finds it.
    fn tell(mut self, kept: Option<Box<Kept>>, result: Result<Rows, Error>) {
        self.told = true;
        self.pool.bring_back(self.slot, self.ticket, kept);
        self.work.finish(result);
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if !self.told {
            self.pool.bring_back(self.slot, self.ticket, None);
            let failure = Failure::new(Kind::Protocol, "a bug of poolkeeper's; please report this");
            self.work.finish(Err(self.pool.broken(&failure)));
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
        let work = Arc::new(Work {
            result: Mutex::default(),
            abandoned: Notify::new(),
            wake,
        });
        let (ticket, used, kept) = {
            let mut inner = lock(&self.inner);
            let taken = inner.state.take(slot, owner).map_err(|refused| {
                self.not_held(match refused {
                    Refused::NotLeased => Misuse::Gone,
                    Refused::Busy => Misuse::Busy,
                    Refused::Broken => Misuse::Broken,
                })
            })?;
            inner.working.insert(slot, work.clone());
            taken
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

    fn broken(&self, cause: &Failure) -> Error {
        Error::Connection {
            pool: self.name.clone(),
            host: self.backend.address().to_string(),
            doing: "lost the connection to",
            cause: Box::new(cause.clone()),
            remedy: "; what was sent may have been done or not",
        }
    }

    /// What an error says about a connection that was in use is acted on, and told to its owner.
    fn failed(&self, kept: &Kept, failure: &Failure) -> Error {
        let fault = failure.fault();
        if let Some(fault) = fault {
            self.process.native_fault(fault, self.number, kept.number(), &kept.host);
        }
        match fault {
            Some(Fault::Demoted) => Error::ReadOnly {
                pool: self.name.clone(),
                host: kept.host.to_string(),
                cause: Box::new(failure.clone()),
            },
            _ if failure.ends_session() => self.broken(failure),
            _ => Error::Query {
                pool: self.name.clone(),
                cause: Box::new(failure.clone()),
            },
        }
    }

    /// Makes sure that a connection lives which is about to be used for the first time in its lease: nothing has been
    /// sent yet, so another may take its place.
    async fn fit_for_use(&self, mut kept: Box<Kept>) -> Result<Box<Kept>, Error> {
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

async fn run(telling: Telling, kept: Box<Kept>, used: bool, statement: Statement) {
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
                Ok(kept) => kept,
                Err(error) => return telling.tell(None, Err(error)),
            },
        },
    };
    let effect = match &statement {
        Statement::Query(sql, _) => effect(sql),
        _ => Effect::None,
    };
    // Its server rolls back what a connection leaves. After one to a savepoint somebody may go on.
    let rolls_all_back = matches!(statement, Statement::RollBack(0));
    kept.about_to(effect);
    let session = kept.session.id();
    let limit = pool.options().statement_timeout;
    let begun = Instant::now();
    let ended = {
        let sent = AtomicBool::new(false);
        let doing = async {
            sent.store(true, Ordering::Relaxed);
            send(&mut kept, statement).await
        };
        tokio::pin!(doing);
        tokio::select! {
            biased;
            () = telling.work.abandoned.notified() => match sent.load(Ordering::Relaxed) {
                true => Ended::Abandoned(end(&pool, session, &mut doing).await),
                false => Ended::Unsent,
            },
            answer = &mut doing => Ended::Answered(answer),
            () = late(limit) => {
                end(&pool, session, &mut doing).await;
                Ended::Late
            }
        }
    };
    match ended {
        Ended::Answered(Ok(rows)) => {
            kept.answered(effect, None);
            telling.tell(Some(kept), Ok(rows));
        }
        Ended::Answered(Err(failure)) => {
            let error = match limit {
                Some(limit) if failure.cuts_off() && begun.elapsed() >= limit => {
                    pool.late(Step::Query, limit, format!("; {failure}"))
                }
                _ => pool.failed(&kept, &failure),
            };
            if failure.ends_session() {
                let result = if rolls_all_back {
                    Ok(Rows::default())
                } else {
                    Err(error)
                };
                return telling.tell(None, result);
            }
            kept.answered(effect, Some(&failure));
            telling.tell(Some(kept), Err(error));
        }
        Ended::Unsent => telling.tell(Some(kept), Err(abandoned())),
        Ended::Abandoned(drained) => {
            // Whoever holds the lease goes on where the server has ended the statement, outside of a transaction.
            let error = abandoned();
            kept.interrupted = true;
            let was_open = kept.transaction != Transaction::None;
            let cleaned = if drained {
                super::clean::cleaned(kept).await
            } else {
                None
            };
            telling.tell(cleaned.filter(|_| !was_open), Err(error));
        }
        Ended::Late => {
            let limit = limit.unwrap_or_default();
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

async fn begin(kept: &mut Kept) -> Result<(), Failure> {
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

async fn commit(kept: &mut Kept, level: u32) -> Result<(), Failure> {
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

async fn roll_back(kept: &mut Kept, level: u32) -> Result<(), Failure> {
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

async fn late(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit + GRACE).await,
        None => std::future::pending().await,
    }
}
