//! What a pool is told to replace is replaced, also what it does not have at hand at that moment.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::mpsc::channel;

use poolkeeper_core::process::Statement;
use support::server::{Manner, Server};
use support::{at_rest, bell, options, pool, run, sockets_to, take, until, LONG};

#[test]
fn a_connection_whose_statement_is_under_way_is_replaced_when_its_lease_ends() {
    let server = Server::new(Manner::Well);
    let pool = pool(501, &server.url(), options(1));
    let slot = take(&pool, 1).unwrap();
    server.behave(Manner::StallsBegin);
    let (wake, woken) = channel();
    pool.start(slot, 1, Statement::Begin, bell(wake)).unwrap();
    until("it is on the server", || {
        server.said().iter().any(|said| said == "BEGIN")
    });
    assert_eq!(pool.reload(), 0);
    server.behave(Manner::Well);
    woken.recv_timeout(LONG).unwrap();
    run(&pool, slot, 1, Statement::Commit(0)).unwrap();
    assert!(pool.release(1, false));
    assert_eq!(at_rest(&pool).idle, 0);
    take(&pool, 2).unwrap();
    assert_eq!(server.accepted(), 2);
    assert!(pool.release(2, false));
    until("the old one is closed", || sockets_to(server.port()) == 1);
}

#[test]
fn a_connection_that_is_being_cleaned_is_replaced_and_so_is_one_that_is_being_opened() {
    let server = Server::new(Manner::Well);
    let pool = pool(502, &server.url(), options(1));
    let slot = take(&pool, 1).unwrap();
    run(&pool, slot, 1, Statement::Begin).unwrap();
    server.behave(Manner::StallsQueries);
    assert!(pool.release(1, true));
    until("it is being cleaned", || {
        server.said().iter().any(|said| said == "ROLLBACK")
    });
    assert_eq!(pool.reload(), 0);
    server.behave(Manner::Stalls);
    assert_eq!(at_rest(&pool).idle, 0);

    let (wake, woken) = channel();
    pool.wait(2, bell(wake)).unwrap();
    until("one is being opened", || server.accepted() == 2);
    assert_eq!(pool.reload(), 0);
    server.behave(Manner::Well);
    woken.recv_timeout(LONG).unwrap();
    assert_eq!(server.accepted(), 3, "the second was asked for before the reload");
    assert!(pool.release(2, false));
    assert_eq!(at_rest(&pool).idle, 1);
}
