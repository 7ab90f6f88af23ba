//! Where there are no connections to be had, nobody is lost, nothing is left behind, and the server is not stormed.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use poolkeeper_core::process::Statement;
use poolkeeper_core::Error;
use support::server::{Manner, Server};
use support::{at_rest, descriptors, options, pool, run, sockets_to, take, take_within, until, LONG};

/// Descriptors are counted for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn a_thousand_connects_that_fail_leave_no_slot_and_no_descriptor() {
    let _alone = ALONE.lock();
    let server = Server::new(Manner::Refuses("28P01"));
    let pool = pool(201, &server.url(), options(2));
    assert!(take(&pool, 1).is_err());
    until("the first has gone", || {
        sockets_to(server.port()) == 0 && server.open() == 0
    });
    let before = descriptors();
    for _ in 0..1000 {
        let error = take(&pool, 1).unwrap_err();
        assert!(matches!(error, Error::Connection { .. }), "{error}");
    }
    let numbers = at_rest(&pool);
    assert_eq!((numbers.idle, numbers.size), (0, 2));
    until("all descriptors are closed", || {
        server.open() == 0 && descriptors() <= before
    });
    server.behave(Manner::Well);
    take(&pool, 1).unwrap();
    assert!(pool.release(1, false));
    assert_eq!(at_rest(&pool).idle, 1);
}

#[test]
fn a_port_on_which_nobody_listens_fails_at_once_and_keeps_no_slot() {
    let _alone = ALONE.lock();
    let gone = Server::new(Manner::Well);
    let url = gone.url();
    drop(gone);
    let pool = pool(202, &url, options(2));
    let start = Instant::now();
    for _ in 0..1000 {
        let error = take(&pool, 1).unwrap_err();
        assert!(matches!(error, Error::HostDown { .. }), "{error}");
    }
    assert!(start.elapsed() < LONG / 2, "{:?}", start.elapsed());
    pool.close();
    until("nothing is open", || pool.is_drained());
    at_rest(&pool);
}

#[test]
fn more_owners_than_connections_are_all_served_and_the_size_is_never_exceeded() {
    let _alone = ALONE.lock();
    const OWNERS: u64 = 12;
    let server = Server::new(Manner::Well);
    let pool = pool(203, &server.url(), options(3));
    let start = Arc::new(Barrier::new(OWNERS as usize));
    let threads: Vec<_> = (1..=OWNERS)
        .map(|owner| {
            let (pool, start) = (pool.clone(), start.clone());
            thread::spawn(move || {
                start.wait();
                for _ in 0..20 {
                    let slot = take(&pool, owner).unwrap();
                    run(&pool, slot, owner, Statement::Ping).unwrap();
                    assert!(pool.release(owner, false), "a release that passes its lease over");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(server.accepted() <= 3, "{} connects for a size of 3", server.accepted());
    assert_eq!(at_rest(&pool).idle, server.accepted());
    assert_eq!(sockets_to(server.port()), server.accepted());
}

#[test]
fn a_server_that_has_no_connection_to_give_is_not_stormed_while_one_of_ours_will_come_back() {
    let _alone = ALONE.lock();
    let server = Server::new(Manner::Well);
    let pool = pool(204, &server.url(), options(2));
    take(&pool, 1).unwrap();
    server.behave(Manner::Refuses("53300"));
    let waiting = {
        let pool = pool.clone();
        thread::spawn(move || take(&pool, 2))
    };
    until("it is refused", || {
        server.accepted() >= 2 && pool.numbers().opening == 0
    });
    // Long enough for hundreds of attempts.
    thread::sleep(Duration::from_millis(300));
    assert!(server.accepted() <= 4, "{} attempts", server.accepted());
    assert_eq!(pool.numbers().waiting, 1);
    assert!(pool.release(1, false));
    waiting.join().unwrap().unwrap();
    assert!(pool.release(2, false));
    assert_eq!(at_rest(&pool).idle, 1);
}

#[test]
fn a_server_that_has_connections_again_is_asked_again_though_none_of_ours_comes_back() {
    let _alone = ALONE.lock();
    let server = Server::new(Manner::Well);
    let pool = pool(205, &server.url(), options(2));
    take(&pool, 1).unwrap();
    server.behave(Manner::Refuses("53300"));
    let waiting = {
        let pool = pool.clone();
        thread::spawn(move || take(&pool, 2))
    };
    until("it is refused", || {
        server.accepted() >= 2 && pool.numbers().opening == 0
    });
    server.behave(Manner::Well);
    waiting.join().unwrap().unwrap();
    assert!(pool.release(1, false) && pool.release(2, false));
    assert_eq!(at_rest(&pool).idle, 2);
}

#[test]
fn whoever_waits_longer_than_it_may_leaves_the_queue_and_takes_nothing_with_it() {
    let _alone = ALONE.lock();
    let server = Server::new(Manner::Well);
    let pool = pool(206, &server.url(), options(1));
    take(&pool, 1).unwrap();
    assert!(take_within(&pool, 2, Duration::from_millis(50)).unwrap().is_none());
    assert_eq!(pool.numbers().waiting, 0);
    assert!(pool.release(1, false));
    assert_eq!(at_rest(&pool).idle, 1);
    take(&pool, 2).unwrap();
    assert!(pool.release(2, false));
}
