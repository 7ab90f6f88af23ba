//! A server that stalls, closes or talks rubbish costs the statement it did that to, and no slot.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::{Duration, Instant};

use poolkeeper_core::clock::Moment;
use poolkeeper_core::pool::Options;
use poolkeeper_core::process::Statement;
use poolkeeper_core::Error;
use support::server::{Manner, Server};
use support::{at_rest, options, pool, run, sockets_to, take, take_within, until, LONG};

const SHORT: Duration = Duration::from_millis(300);

fn impatient(size: usize) -> Options {
    Options {
        connect_timeout: SHORT,
        ..options(size)
    }
}

#[test]
fn a_server_that_takes_a_connection_and_says_nothing_is_left_at_the_connect_timeout() {
    let server = Server::new(Manner::Stalls);
    let pool = pool(101, &server.url(), impatient(2));
    let start = Instant::now();
    let error = take(&pool, 1).unwrap_err();
    assert!(matches!(error, Error::HostDown { .. }), "{error}");
    assert!(error.to_string().contains("connect_timeout"), "{error}");
    assert!((SHORT..LONG / 2).contains(&start.elapsed()), "{:?}", start.elapsed());
    // Its answer comes late: the attempt before is no connection of ours any more.
    server.behave(Manner::Well);
    until("the prober finds the server again", || {
        take_within(&pool, 1, LONG).is_ok()
    });
    assert!(pool.release(1, false));
    at_rest(&pool);
    pool.close();
    until("nothing is left of it", || sockets_to(server.port()) == 0);
}

#[test]
fn a_server_that_closes_or_talks_rubbish_at_the_start_is_told_of_and_leaves_no_slot_behind() {
    for (number, manner) in [(102, Manner::ClosesStart), (103, Manner::Rubbish)] {
        let server = Server::new(manner);
        let pool = pool(number, &server.url(), options(1));
        let error = take(&pool, 1).unwrap_err();
        assert!(
            matches!(error, Error::HostDown { .. } | Error::Connection { .. }),
            "{error}"
        );
        server.behave(Manner::Well);
        until("the server is found again", || take_within(&pool, 1, LONG).is_ok());
        assert!(run(&pool, pool.leases().len() - 1, 1, Statement::Begin).is_ok());
        assert!(pool.release(1, true));
        assert_eq!(at_rest(&pool).idle, 1);
        assert_eq!(server.said().last().map(String::as_str), Some("ROLLBACK"));
    }
}

#[test]
fn a_statement_whose_answer_breaks_off_fails_and_its_slot_is_free_after_the_release() {
    for (number, manner) in [(104, Manner::ClosesAnswer), (105, Manner::RubbishAnswer)] {
        let server = Server::new(Manner::Well);
        let pool = pool(number, &server.url(), options(1));
        let slot = take(&pool, 1).unwrap();
        server.behave(manner);
        let error = run(&pool, slot, 1, Statement::Begin).unwrap_err();
        assert!(matches!(error, Error::Connection { .. }), "{error}");
        let again = run(&pool, slot, 1, Statement::Begin).unwrap_err();
        assert!(matches!(again, Error::NotHeld { .. }), "it is used no more: {again}");
        assert!(pool.release(1, false));
        let numbers = at_rest(&pool);
        assert_eq!((numbers.idle, numbers.leased), (0, 0));
        until("its socket is closed", || sockets_to(server.port()) == 0);
        server.behave(Manner::Well);
        let slot = take(&pool, 1).unwrap();
        run(&pool, slot, 1, Statement::Begin).unwrap();
        run(&pool, slot, 1, Statement::Commit(0)).unwrap();
        assert!(pool.release(1, false));
        assert_eq!(at_rest(&pool).idle, 1);
    }
}

#[test]
fn an_idle_connection_whose_server_hangs_up_is_gone_before_anybody_asks() {
    let server = Server::new(Manner::Well);
    let pool = pool(106, &server.url(), options(3));
    for owner in 1..=3 {
        take(&pool, owner).unwrap();
    }
    (1..=3).for_each(|owner| assert!(pool.release(owner, false)));
    assert_eq!(at_rest(&pool).idle, 3);
    server.hang_up();
    until("the watch has them evicted", || {
        pool.numbers().idle == 0 && sockets_to(server.port()) == 0
    });
    assert_eq!(server.accepted(), 3, "nobody asked, and nobody opened one");
    let slot = take(&pool, 1).unwrap();
    run(&pool, slot, 1, Statement::Ping).unwrap();
    assert!(pool.release(1, false));
    at_rest(&pool);
}

#[test]
fn a_server_that_stalls_at_a_ping_has_its_connection_replaced_before_the_first_statement() {
    let server = Server::new(Manner::Well);
    let options = Options {
        check_idle_after: Duration::ZERO,
        ..options(1)
    };
    let pool = pool(107, &server.url(), options);
    take(&pool, 1).unwrap();
    assert!(pool.release(1, false));
    server.behave(Manner::StallsPings);
    let slot = take(&pool, 2).unwrap();
    let taken_at = Moment::now();
    until("the pool's clock has ticked", || Moment::now() > taken_at);
    run(&pool, slot, 2, Statement::Begin).unwrap();
    assert_eq!(server.accepted(), 2);
    assert_eq!(server.said().iter().filter(|said| *said == "BEGIN").count(), 1);
    run(&pool, slot, 2, Statement::Commit(0)).unwrap();
    assert!(pool.release(2, false));
    assert_eq!(at_rest(&pool).idle, 1);
    until("the stalled one is closed", || sockets_to(server.port()) == 1);
}

#[test]
fn a_server_that_stalls_at_the_rollback_has_its_connection_dropped_within_the_limit() {
    let server = Server::new(Manner::Well);
    let pool = pool(108, &server.url(), options(1));
    let slot = take(&pool, 1).unwrap();
    run(&pool, slot, 1, Statement::Begin).unwrap();
    server.behave(Manner::StallsQueries);
    let start = Instant::now();
    assert!(pool.release(1, true));
    assert!(
        start.elapsed() < Duration::from_millis(200),
        "a release waits for nothing"
    );
    // The next gets a connection of its own, and never the one whose transaction may be open.
    let next = take(&pool, 2).unwrap();
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(server.accepted(), 2);
    server.behave(Manner::Well);
    run(&pool, next, 2, Statement::Ping).unwrap();
    assert!(pool.release(2, false));
    assert_eq!(at_rest(&pool).idle, 1);
    until("the stalled one is closed", || sockets_to(server.port()) == 1);
}
