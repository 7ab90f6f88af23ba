//! Nobody waits for somebody who waits for them: every wait has an end, and nobody is woken under a lock.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::mpsc::{channel, Sender};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use poolkeeper_core::process::{NativePool, Statement, Waker};
use support::server::{Manner, Server};
use support::{at_rest, bounded, options, pool, run, sockets_to, take, take_within, until, LONG};

#[test]
fn two_pools_taken_in_opposite_order_hold_nobody_for_longer_than_the_limit() {
    bounded(|| {
        let server = Server::new(Manner::Well);
        let pools = [401, 402].map(|number| pool(number, &server.url(), options(1)));
        let both = Arc::new(Barrier::new(2));
        let threads = [1, 2].map(|owner| {
            let (mut pools, both) = (pools.clone(), both.clone());
            if owner == 2 {
                pools.reverse();
            }
            thread::spawn(move || {
                take(&pools[0], owner).unwrap();
                both.wait();
                let second = take_within(&pools[1], owner, Duration::from_millis(200)).unwrap();
                assert!(pools[0].release(owner, false));
                assert_eq!(pools[1].release(owner, false), second.is_some());
                second.is_some()
            })
        });
        let got = threads.map(|thread| thread.join().unwrap());
        assert!(got.iter().filter(|got| **got).count() <= 1);
        pools.iter().for_each(|pool| assert_eq!(at_rest(pool).idle, 1));
    });
}

#[test]
fn an_owner_that_asks_again_for_what_it_holds_does_not_wait_for_itself() {
    bounded(|| {
        let server = Server::new(Manner::Well);
        let pool = pool(403, &server.url(), options(1));
        let slot = take(&pool, 1).unwrap();
        assert_eq!(take(&pool, 1).unwrap(), slot);
        assert!(
            pool.wait(1, Arc::new(|| {})).is_err(),
            "it would wait for its own release"
        );
        assert!(pool.release(1, false));
        assert_eq!(at_rest(&pool).idle, 1);
    });
}

/// A waker that looks at the pool, as whoever is woken does.
fn looks(pool: &Arc<NativePool>, told: &Sender<()>) -> Waker {
    let (pool, told) = (pool.clone(), told.clone());
    Arc::new(move || {
        pool.numbers();
        let _ = told.send(());
    })
}

#[test]
fn whoever_is_woken_may_look_at_the_pool_at_once_whatever_the_news() {
    bounded(|| {
        let server = Server::new(Manner::Well);
        let (told, woken) = channel();
        let handed = pool(404, &server.url(), options(1));
        handed.wait(1, looks(&handed, &told)).unwrap();
        woken.recv_timeout(LONG).expect("the news of a connection");

        handed.wait(2, looks(&handed, &told)).unwrap();
        handed.close();
        woken.recv_timeout(LONG).expect("the news that the pool is closed");
        assert!(handed.release(1, false));
        until("nothing is open", || handed.is_drained());

        server.behave(Manner::Refuses("28P01"));
        let refused = pool(405, &server.url(), options(1));
        refused.wait(1, looks(&refused, &told)).unwrap();
        woken.recv_timeout(LONG).expect("the news that there is none");
        at_rest(&refused);
    });
}

#[test]
fn owners_and_everything_that_is_done_to_a_pool_meanwhile_come_to_their_end() {
    const OWNERS: u64 = 6;
    const ROUNDS: u64 = 60;
    bounded(|| {
        let server = Server::new(Manner::Well);
        let pool = pool(406, &server.url(), options(3));
        let owners = (1..=OWNERS).map(|owner| {
            let pool = pool.clone();
            thread::spawn(move || {
                for round in 0..ROUNDS {
                    let limit = if (owner + round) % 5 == 0 { Duration::ZERO } else { LONG };
                    let Some(slot) = take_within(&pool, owner, limit).unwrap() else {
                        assert_eq!(limit, Duration::ZERO, "a wake-up was lost");
                        continue;
                    };
                    if round % 3 == 0 {
                        // Left open, so that it is cleaned behind the release.
                        let _ = run(&pool, slot, owner, Statement::Begin);
                    }
                    // As where a block has ended: within a transaction another release leaves it alone.
                    assert!(pool.release(owner, true), "a release that passes its lease over");
                }
            })
        });
        let owners: Vec<_> = owners.collect();
        let meddling = pool.clone();
        let meddler = thread::spawn(move || {
            for round in 0..ROUNDS {
                match round % 5 {
                    0 => meddling.resize(1),
                    1 => drop(meddling.leases()),
                    2 => meddling.resize(3),
                    3 => assert!(meddling.reload() <= 3),
                    _ => assert!(meddling.close_idle() + meddling.sweep() <= 6),
                }
                thread::yield_now();
            }
            meddling.resize(2);
        });
        owners.into_iter().for_each(|owner| owner.join().unwrap());
        meddler.join().unwrap();
        assert!(at_rest(&pool).idle <= 2);
        pool.close();
        until("nothing is open", || {
            pool.is_drained() && sockets_to(server.port()) == 0
        });
    });
}
