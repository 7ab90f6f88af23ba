//! A PostgreSQL server that misbehaves as a test wishes, and what the tests of hazards have in common.
#![allow(dead_code, missing_docs)]

pub mod server;

use std::sync::mpsc::{channel, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::time::{Duration, Instant};

use poolkeeper_core::pool::{Numbers, Options, SlotId};
use poolkeeper_core::process::{self, Found, NativePool, Statement, Waker};
use poolkeeper_core::sql::Rows;
use poolkeeper_core::Error;

/// Longer than anything here takes; what reaches it has hung.
pub const LONG: Duration = Duration::from_secs(10);

pub fn options(size: usize) -> Options {
    Options {
        name: "hazard".into(),
        size,
        min: 0,
        checkout_timeout: LONG,
        connect_timeout: LONG,
        check_idle_after: Duration::from_secs(30),
        idle_timeout: None,
        max_lifetime: None,
        keepalive: None,
        statement_timeout: None,
        leak_threshold: None,
        application_name: None,
    }
}

pub fn pool(number: u64, url: &str, options: Options) -> Arc<NativePool> {
    process::current().native(number, url, options).unwrap()
}

/// Waits until something holds, which is to be looked at and not to be waited for.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {LONG:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Takes a connection as an extension does: lent, or waited for up to a limit; nothing when that is over.
pub fn take_within(pool: &NativePool, owner: u64, limit: Duration) -> Result<Option<SlotId>, Error> {
    match pool.checkout(owner, false)? {
        Found::New(slot) | Found::Held(slot) => return Ok(Some(slot)),
        Found::Nothing => {}
    }
    let (wake, woken) = channel();
    let ticket = pool.wait(owner, bell(wake))?;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = pool.answer(owner, ticket) {
            return answer.map(Some);
        }
        // Nothing but a wake-up ends the wait before its limit: a lost one is seen.
        if woken
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .is_err()
        {
            pool.give_up(owner, ticket);
            return Ok(None);
        }
    }
}

pub fn take(pool: &NativePool, owner: u64) -> Result<SlotId, Error> {
    take_within(pool, owner, LONG).map(|slot| slot.expect("a connection within the limit"))
}

pub fn run(pool: &NativePool, slot: SlotId, owner: u64, statement: Statement) -> Result<Rows, Error> {
    let (wake, woken) = channel();
    let work = pool.start(slot, owner, statement, bell(wake))?;
    woken.recv_timeout(LONG).expect("an end of the statement");
    work.result().expect("a result")
}

/// Wakes whoever receives, who may be gone.
pub fn bell(wake: Sender<()>) -> Waker {
    Arc::new(move || {
        let _ = wake.send(());
    })
}

/// Runs what would never end if two waited for each other.
pub fn bounded(body: impl FnOnce() + Send + 'static) {
    let (done, ended) = channel();
    let running = std::thread::spawn(move || {
        body();
        let _ = done.send(());
    });
    let ended = ended.recv_timeout(LONG * 3);
    assert!(
        !matches!(ended, Err(RecvTimeoutError::Timeout)),
        "it has locked itself up"
    );
    running.join().unwrap();
}

/// Everything is back: nothing leased, opening, being cleaned or waiting.
pub fn at_rest(pool: &NativePool) -> Numbers {
    until("all slots are back", || {
        let numbers = pool.numbers();
        numbers.leased + numbers.opening + numbers.away + numbers.waiting == 0
    });
    pool.numbers()
}

/// How many TCP sockets of this process lead to the server's port.
pub fn sockets_to(port: u16) -> usize {
    use poolkeeper_core::socket;
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let numbers = descriptors.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    numbers
        .filter(|number| socket::peer(*number).is_some_and(|peer| peer.ends_with(&format!(":{port}"))))
        .count()
}

pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
