//! Whoever stops waiting, for a connection or for an answer, leaves everything in order.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::mpsc::{channel, Receiver};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use poolkeeper_core::process::{NativePool, Statement, Work};
use poolkeeper_core::Error;
use support::server::{Manner, Server};
use support::{at_rest, bell, options, pool, run, sockets_to, take, until, LONG};

/// Begins a statement without waiting for its end.
fn start(pool: &NativePool, slot: usize, owner: u64, statement: Statement) -> (Arc<Work>, Receiver<()>) {
    let (wake, woken) = channel();
    (pool.start(slot, owner, statement, bell(wake)).unwrap(), woken)
}

fn asked(server: &Server, sql: &str) -> usize {
    server.said().iter().filter(|said| *said == sql).count()
}

/// Of a session that its server called 7, on a server that calls itself 9.
const CANCEL: &str =
    "SELECT pg_cancel_backend(7) WHERE (extract(epoch from pg_postmaster_start_time()) * 1000000)::int8 = 9";

#[test]
fn a_statement_that_nobody_waits_for_is_ended_on_the_server_and_its_slot_comes_back() {
    let server = Server::new(Manner::Well);
    let pool = pool(301, &server.url(), options(1));
    let slot = take(&pool, 1).unwrap();
    server.behave(Manner::StallsBegin);
    let (work, woken) = start(&pool, slot, 1, Statement::Begin);
    until("it is on the server", || asked(&server, "BEGIN") == 1);
    work.abandon();
    woken.recv_timeout(LONG).unwrap();
    assert!(work.result().unwrap().is_err());
    assert_eq!(asked(&server, CANCEL), 1);
    assert!(pool.release(1, false));
    at_rest(&pool);
    server.behave(Manner::Well);
    let slot = take(&pool, 2).unwrap();
    run(&pool, slot, 2, Statement::Ping).unwrap();
    assert!(pool.release(2, false));
    assert_eq!(at_rest(&pool).idle, 1);
    until("one socket is left", || sockets_to(server.port()) == 1);
}

#[test]
fn a_cancel_that_ends_nothing_is_sent_again() {
    let server = Server::new(Manner::Well);
    let pool = pool(308, &server.url(), options(1));
    let slot = take(&pool, 1).unwrap();
    server.behave(Manner::MissesCancel);
    let (work, woken) = start(&pool, slot, 1, Statement::Begin);
    until("it is on the server", || asked(&server, "BEGIN") == 1);
    work.abandon();
    woken.recv_timeout(LONG).unwrap();
    assert_eq!(asked(&server, CANCEL), 2);
    assert!(pool.release(1, false));
    at_rest(&pool);
}

#[test]
fn an_interrupted_statement_of_a_server_that_answers_nothing_ends_within_the_limits() {
    let server = Server::new(Manner::Well);
    let pool = pool(302, &server.url(), options(1));
    let slot = take(&pool, 1).unwrap();
    server.behave(Manner::StallsQueries);
    let (work, woken) = start(&pool, slot, 1, Statement::Begin);
    until("it is on the server", || asked(&server, "BEGIN") == 1);
    let began = Instant::now();
    work.abandon();
    woken.recv_timeout(Duration::from_secs(4)).unwrap();
    assert!(began.elapsed() < Duration::from_secs(4));
    assert!(work.result().unwrap().is_err());
    assert!(pool.release(1, false));
    let numbers = at_rest(&pool);
    assert_eq!(numbers.idle, 0, "nobody knows what it is in the middle of");
    until("nothing is open", || sockets_to(server.port()) == 0);
}

#[test]
fn a_lease_that_ends_during_a_statement_hands_its_connection_on_after_a_rollback_only() {
    let server = Server::new(Manner::Well);
    let pool = pool(303, &server.url(), options(1));
    let slot = take(&pool, 1).unwrap();
    server.behave(Manner::StallsBegin);
    let (_work, woken) = start(&pool, slot, 1, Statement::Begin);
    until("it is on the server", || asked(&server, "BEGIN") == 1);
    assert!(pool.release(1, false), "the owner goes on at once");
    assert!(!pool.release(1, false));
    assert_eq!(pool.numbers().away, 1);
    let waiting = {
        let pool = pool.clone();
        thread::spawn(move || take(&pool, 2).unwrap())
    };
    until("somebody waits", || pool.numbers().waiting == 1);
    assert_eq!(server.accepted(), 1, "its slot is not free yet");
    server.behave(Manner::Well);
    woken.recv_timeout(LONG).unwrap();
    let slot = waiting.join().unwrap();
    assert_eq!(server.said()[1..], ["BEGIN", "ROLLBACK"]);
    run(&pool, slot, 2, Statement::Ping).unwrap();
    assert!(pool.release(2, false));
    assert_eq!(at_rest(&pool).idle, 1);
    assert_eq!(server.accepted(), 1);
}

#[test]
fn the_statement_of_an_owner_that_died_costs_nobody_else_a_slot() {
    let server = Server::new(Manner::Well);
    let pool = pool(304, &server.url(), options(2));
    let slot = take(&pool, 1).unwrap();
    server.behave(Manner::StallsBegin);
    let (_work, woken) = start(&pool, slot, 1, Statement::Begin);
    until("it is on the server", || asked(&server, "BEGIN") == 1);
    assert_eq!(pool.reclaim(&[1, 99]), 1);
    take(&pool, 2).unwrap();
    server.behave(Manner::Well);
    woken.recv_timeout(LONG).unwrap();
    assert!(pool.release(2, false));
    // Nobody is there to go on with its transaction: its connection is dropped, and its slot is free.
    assert_eq!(at_rest(&pool).idle, 1);
    take(&pool, 3).unwrap();
    take(&pool, 4).unwrap();
    assert_eq!(pool.numbers().leased, 2);
}

#[test]
fn a_waiter_that_gives_up_during_the_connect_leaves_the_connection_to_the_next() {
    let server = Server::new(Manner::Stalls);
    let pool = pool(305, &server.url(), options(1));
    let (wake, woken) = channel();
    let ticket = pool.wait(1, bell(wake)).unwrap();
    until("a connect is under way", || server.accepted() == 1);
    pool.give_up(1, ticket);
    assert_eq!((pool.numbers().waiting, pool.numbers().opening), (0, 1));
    server.behave(Manner::Well);
    assert_eq!(at_rest(&pool).idle, 1);
    assert!(woken.try_recv().is_err(), "nobody is woken who has gone");
    take(&pool, 2).unwrap();
    assert_eq!(server.accepted(), 1);
    assert!(pool.release(2, false));
}

#[test]
fn a_waiter_that_gives_up_after_it_was_handed_a_connection_gives_it_back() {
    let server = Server::new(Manner::Well);
    let pool = pool(306, &server.url(), options(1));
    let (wake, woken) = channel();
    let ticket = pool.wait(1, bell(wake)).unwrap();
    woken.recv_timeout(LONG).unwrap();
    assert_eq!(pool.numbers().leased, 1);
    pool.give_up(1, ticket);
    assert_eq!(at_rest(&pool).idle, 1);
    assert!(!pool.release(1, false));
}

#[test]
fn a_waiter_whose_lease_ended_before_it_looked_is_told_and_waits_no_longer() {
    let server = Server::new(Manner::Well);
    let pool = pool(307, &server.url(), options(1));
    let (wake, woken) = channel();
    let ticket = pool.wait(1, bell(wake)).unwrap();
    woken.recv_timeout(LONG).unwrap();
    // As a handler of signals does, which runs in the same thread.
    assert!(pool.release(1, false));
    let answer = pool.answer(1, ticket).expect("an answer");
    assert!(matches!(answer, Err(Error::NotHeld { .. })), "{answer:?}");
    assert_eq!(at_rest(&pool).idle, 1);
}
