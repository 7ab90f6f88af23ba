//! Servers that are silent, and servers that only seem to be.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::{Duration, Instant};

use poolkeeper_core::host::Settings;
use poolkeeper_core::process::{self, Statement};
use poolkeeper_core::Error;
use support::server::{Manner, Server};
use support::{at_rest, options, pool, run, take, until};

const SETTINGS: Settings = Settings {
    after: Duration::from_millis(300),
    // Longer than a thread of the fake server may wait for a processor.
    interval: Duration::from_millis(250),
    timeout: Duration::from_millis(250),
    failures: 3,
};
/// By then a silent server's connections have been ended.
const LONG: Duration = Duration::from_millis(2_500);

fn watched() {
    process::current().want_monitors(Some(SETTINGS));
}

#[test]
fn whoever_waits_for_a_server_that_says_nothing_at_all_gets_an_error_in_time() {
    watched();
    let server = Server::new(Manner::Well);
    let pool = pool(201, &server.url(), options(1));
    let slot = take(&pool, 1).unwrap();
    server.behave(Manner::Silent);
    let start = Instant::now();
    let error = run(&pool, slot, 1, Statement::Ping).unwrap_err();
    assert!(matches!(error, Error::Connection { .. }), "{error}");
    assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
    server.behave(Manner::Well);
    assert!(pool.release(1, false));
    at_rest(&pool);
    pool.close();
}

#[test]
fn a_server_that_answers_log_ins_is_not_silent_however_long_a_query_takes() {
    watched();
    let server = Server::new(Manner::Well);
    let pool = pool(202, &server.url(), options(1));
    let slot = take(&pool, 1).unwrap();
    server.behave(Manner::StallsQueries);
    let running = {
        let pool = pool.clone();
        std::thread::spawn(move || run(&pool, slot, 1, Statement::Begin))
    };
    std::thread::sleep(LONG);
    assert!(!running.is_finished());
    assert!(server.accepted() > 3, "it was asked {} times", server.accepted() - 1);
    server.behave(Manner::Well);
    assert!(running.join().unwrap().is_ok());
    assert!(pool.release(1, true));
    at_rest(&pool);
    pool.close();
}

#[test]
fn a_server_that_lets_nobody_in_and_answers_those_who_are_is_not_silent() {
    watched();
    let server = Server::new(Manner::Well);
    let pool = pool(203, &server.url(), options(1));
    let slot = take(&pool, 1).unwrap();
    server.behave(Manner::Stalls);
    let ends = Instant::now() + LONG;
    while Instant::now() < ends {
        run(&pool, slot, 1, Statement::Ping).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(server.accepted() > 1, "nobody asked it");
    server.behave(Manner::Well);
    assert!(pool.release(1, false));
    at_rest(&pool);
    pool.close();
}

#[test]
fn a_server_that_refuses_is_asked_on_and_one_that_lets_nobody_in_by_this_name_is_not() {
    watched();
    for (number, state, most) in [(204, "53300", usize::MAX), (205, "28P01", 2)] {
        let server = Server::new(Manner::Well);
        let pool = pool(number, &server.url(), options(1));
        let slot = take(&pool, 1).unwrap();
        server.behave(Manner::Refuses(state));
        std::thread::sleep(LONG);
        let asked = server.accepted() - 1;
        assert!(asked >= 1 && asked <= most, "{state}: asked {asked} times");
        assert!(run(&pool, slot, 1, Statement::Ping).is_ok(), "{state}");
        assert!(pool.release(1, false));
        pool.close();
    }
}

#[test]
fn nobody_is_asked_while_leases_are_short() {
    watched();
    let server = Server::new(Manner::Well);
    let pool = pool(206, &server.url(), options(1));
    let ends = Instant::now() + LONG;
    while Instant::now() < ends {
        take(&pool, 1).unwrap();
        assert!(pool.release(1, false));
    }
    assert_eq!(server.accepted(), 1);
    pool.close();
    until("its connections are gone", || server.open() == 0);
}
