//! A pool whose URL names several hosts goes where the wanted role is, and says why where it is nowhere.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::mpsc::channel;
use std::sync::Arc;
use std::time::{Duration, Instant};

use poolkeeper_core::process::{self, NativePool, Statement};
use poolkeeper_core::Error;
use support::server::{Manner, Role, Server};
use support::{at_rest, bell, options, pool, run, sockets_to, take, take_within, until, LONG};

fn url(servers: [&Server; 2], wanted: &str) -> String {
    let [one, two] = servers.map(Server::port);
    format!("postgres://u:hush@127.0.0.1:{one},127.0.0.1:{two}/d?sslmode=disable&target_session_attrs={wanted}")
}

fn begun(server: &Server) -> usize {
    server.said().iter().filter(|said| *said == "BEGIN").count()
}

fn in_incident(server: &Server) -> bool {
    process::current()
        .hosts()
        .in_incident(&format!("127.0.0.1:{}", server.port()))
}

/// Takes a connection, runs a transaction on it and gives it back.
fn work(pool: &NativePool, owner: u64) -> Result<(), Error> {
    let slot = take(pool, owner)?;
    run(pool, slot, owner, Statement::Begin)?;
    run(pool, slot, owner, Statement::Commit(0))?;
    assert!(pool.release(owner, false));
    Ok(())
}

fn primary_and_standby(number: u64, size: usize) -> (Server, Server, Arc<NativePool>) {
    let (old, new) = (Server::of_role(Role::Primary), Server::of_role(Role::Standby));
    let pool = pool(number, &url([&old, &new], "read-write"), options(size));
    (old, new, pool)
}

#[test]
fn work_goes_on_at_the_new_primary_and_the_incident_of_the_old_one_ends_there() {
    let (old, new, pool) = primary_and_standby(601, 3);
    (1..=3).for_each(|owner| assert!(take(&pool, owner).is_ok()));
    (1..=3).for_each(|owner| assert!(pool.release(owner, false)));
    assert_eq!(at_rest(&pool).idle, 3);
    old.become_role(Role::Standby);
    new.become_role(Role::Primary);
    old.hang_up();
    until("its hang-ups are an incident", || in_incident(&old));
    work(&pool, 1).unwrap();
    assert_eq!((begun(&old), begun(&new)), (0, 1));
    assert!(!in_incident(&old) && !in_incident(&new));
    until("no socket leads to the old one", || sockets_to(old.port()) == 0);
}

#[test]
fn an_error_that_comes_late_from_a_host_that_was_left_is_no_incident_for_ever() {
    let (old, new, pool) = primary_and_standby(602, 2);
    let slot = take(&pool, 1).unwrap();
    run(&pool, slot, 1, Statement::Ping).unwrap();
    old.become_role(Role::Standby);
    new.become_role(Role::Primary);
    work(&pool, 2).unwrap();
    old.behave(Manner::ClosesAnswer);
    run(&pool, slot, 1, Statement::Begin).unwrap_err();
    assert!(pool.release(1, true));
    assert!(in_incident(&old));
    until("it ends, though nobody will ever work there again", || {
        work(&pool, 2).unwrap();
        !in_incident(&old)
    });
}

#[test]
fn where_no_host_has_the_role_everybody_is_told_at_once_and_one_prober_asks_until_one_has() {
    let (old, new, pool) = primary_and_standby(603, 4);
    old.become_role(Role::Standby);
    let error = take(&pool, 1).unwrap_err();
    let Error::HostDown { host, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*host, format!("127.0.0.1:{},127.0.0.1:{}", old.port(), new.port()));
    let text = error.to_string();
    assert_eq!(
        text.matches("it is a standby, and read-write is wanted").count(),
        2,
        "{text}"
    );
    assert!(!text.contains("hush"), "{text}");
    let (start, accepted) = (Instant::now(), old.accepted());
    while start.elapsed() < Duration::from_millis(500) {
        assert!(matches!(take_within(&pool, 2, LONG), Err(Error::HostDown { .. })));
    }
    // Pauses of 50, 100, 200, 400 and 800 ms, and then of a second each.
    let attempts = old.accepted() - accepted;
    assert!(
        attempts <= 5 + start.elapsed().as_secs() as usize,
        "{attempts} attempts"
    );
    new.become_role(Role::Primary);
    until("the prober has found it", || pool.numbers().idle == 1);
    work(&pool, 1).unwrap();
    assert_eq!(begun(&new), 1);
    until("the others were closed", || {
        sockets_to(old.port()) == 0 && sockets_to(new.port()) == 1
    });
}

#[test]
fn a_statement_is_ended_on_the_server_that_runs_it() {
    let (old, new, pool) = primary_and_standby(604, 1);
    old.become_role(Role::Standby);
    new.become_role(Role::Primary);
    let slot = take(&pool, 1).unwrap();
    new.behave(Manner::StallsBegin);
    let (wake, woken) = channel();
    let work = pool.start(slot, 1, Statement::Begin, bell(wake)).unwrap();
    until("it is on the server", || begun(&new) == 1);
    work.abandon();
    woken.recv_timeout(LONG).unwrap();
    let cancels = |server: &Server| {
        server
            .said()
            .iter()
            .filter(|said| said.contains("pg_cancel_backend"))
            .count()
    };
    assert_eq!((cancels(&old), cancels(&new)), (0, 1));
    assert!(pool.release(1, false));
    at_rest(&pool);
}

#[test]
fn who_takes_any_server_goes_on_with_the_next_where_one_is_silent() {
    let (silent, other) = (Server::new(Manner::Stalls), Server::new(Manner::Well));
    let options = poolkeeper_core::pool::Options {
        connect_timeout: Duration::from_secs(2),
        ..options(1)
    };
    let pool = pool(605, &url([&silent, &other], "any"), options);
    work(&pool, 1).unwrap();
    assert_eq!(begun(&other), 1);
}
