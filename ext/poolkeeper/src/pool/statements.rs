//! Statements on the connection of a slot: begun, waited for, and ended on the server too where the wait is interrupted.

use std::sync::Arc;
use std::time::Duration;

use magnus::value::ReprValue;
use magnus::{Error, IntoValue, RArray, Ruby, Value};
use poolkeeper_core::error::Error as CoreError;
use poolkeeper_core::process::{NativePool, Statement, Waker, Work};
use poolkeeper_core::sql::Rows;
use poolkeeper_gvl::{wait_for, Lent};

use super::{here, lend, ours, Pool};
use crate::guard::{guarded, to_ruby};
use crate::value;

/// Runs a statement: its rows, or with `count` how many it changed.
pub(super) fn query(
    ruby: &Ruby,
    pool: &Pool,
    slot: usize,
    owner: u64,
    sql: String,
    parameters: RArray,
    count: bool,
) -> Result<Value, Error> {
    guarded(ruby, || {
        let parameters = value::parameters(ruby, parameters)?;
        let rows = run(
            ruby,
            &*pool.native(ruby)?,
            slot,
            owner,
            Statement::Query(sql, parameters),
        )?;
        if count {
            return Ok(rows.affected.into_value_with(ruby));
        }
        Ok(value::rows(ruby, &rows)?.as_value())
    })
}

pub(super) fn begin(ruby: &Ruby, pool: &Pool, slot: usize, owner: u64) -> Result<(), Error> {
    guarded(ruby, || {
        run(ruby, &*pool.native(ruby)?, slot, owner, Statement::Begin).map(|_| ())
    })
}

/// How many transactions are open; a statement before is waited for.
pub(super) fn level(ruby: &Ruby, pool: &Pool, slot: usize, owner: u64) -> Result<u32, Error> {
    guarded(ruby, || {
        let native = pool.native(ruby)?;
        let lent = lend(ruby)?;
        wait_until_free(ruby, &native, &lent, slot, owner)?.map_err(|error| to_ruby(ruby, &error))?;
        native.level(slot, owner).map_err(|error| to_ruby(ruby, &error))
    })
}

pub(super) fn commit(ruby: &Ruby, pool: &Pool, slot: usize, owner: u64, level: u32) -> Result<(), Error> {
    guarded(ruby, || {
        run(ruby, &*pool.native(ruby)?, slot, owner, Statement::Commit(level)).map(|_| ())
    })
}

/// Rolls back; where the connection is gone its server does, which a block around it has to be told. Without `wait`, for
/// a thread that is being killed, it only begins to.
pub(super) fn roll_back(
    ruby: &Ruby,
    pool: &Pool,
    slot: usize,
    owner: u64,
    level: u32,
    wait: bool,
) -> Result<(), Error> {
    guarded(ruby, || {
        let native = pool.native(ruby)?;
        let begun = match wait {
            true => begin_work(ruby, &native, slot, owner, || Statement::RollBack(level))?,
            false => {
                let _ = native.start(slot, owner, Statement::RollBack(level), Arc::new(|| ()));
                return Ok(());
            }
        };
        match begun {
            Ok((lent, work)) => match outcome(ruby, &native, &lent, &work)? {
                Err(error @ CoreError::Connection { .. }) => Err(to_ruby(ruby, &error)),
                _ => Ok(()),
            },
            Err(_) => Ok(()),
        }
    })
}

pub(super) fn ping(ruby: &Ruby, pool: &Pool, slot: usize, owner: u64) -> Result<(), Error> {
    guarded(ruby, || {
        run(ruby, &*pool.native(ruby)?, slot, owner, Statement::Ping).map(|_| ())
    })
}

fn run(ruby: &Ruby, native: &NativePool, slot: usize, owner: u64, statement: Statement) -> Result<Rows, Error> {
    let mut statement = Some(statement);
    // Asked for once, where the statement before it is over.
    let (lent, work) = begin_work(ruby, native, slot, owner, || {
        statement.take().unwrap_or(Statement::Ping)
    })?
    .map_err(|error| to_ruby(ruby, &error))?;
    outcome(ruby, native, &lent, &work)?.map_err(|error| to_ruby(ruby, &error))
}

type Begun = Result<(Lent, Arc<Work>), CoreError>;

/// Begins a statement. One before it may still be under way: interrupted, or of whom a handler of signals interrupts.
fn begin_work(
    ruby: &Ruby,
    native: &NativePool,
    slot: usize,
    owner: u64,
    statement: impl FnOnce() -> Statement,
) -> Result<Begun, Error> {
    let lent = lend(ruby)?;
    if let Err(error) = wait_until_free(ruby, native, &lent, slot, owner)? {
        return Ok(Err(error));
    }
    let work = native.start(slot, owner, statement(), waker(&lent));
    Ok(work.map(|work| (lent, work)))
}

/// Waits until no statement is under way on a slot.
fn wait_until_free(
    ruby: &Ruby,
    native: &NativePool,
    lent: &Lent,
    slot: usize,
    owner: u64,
) -> Result<Result<(), CoreError>, Error> {
    let free = || {
        here(native, || {
            let busy = native.when_back(slot, owner, waker(lent));
            (!busy).then_some(Ok(()))
        })
    };
    let freed = wait_for(ruby, lent.signal(), Duration::MAX, free)?;
    Ok(freed.unwrap_or(Ok(())))
}

fn waker(lent: &Lent) -> Waker {
    let signal = lent.signal().clone();
    Arc::new(move || signal.post())
}

/// Waits for a statement's end; interrupted, it is ended on the server as well.
fn outcome(ruby: &Ruby, native: &NativePool, lent: &Lent, work: &Work) -> Result<Result<Rows, CoreError>, Error> {
    match wait_for(ruby, lent.signal(), Duration::MAX, || here(native, || work.result())) {
        Ok(Some(result)) => Ok(result),
        Ok(None) => Err(Error::new(
            ruby.exception_runtime_error(),
            "a wait without a limit has ended",
        )),
        Err(interrupt) => {
            if ours(native) {
                work.abandon();
            }
            Err(interrupt)
        }
    }
}
