use std::time::Duration;

use super::*;

fn description(replica: bool) -> Description {
    Description {
        name: "primary".into(),
        role: "writing".into(),
        shard: "default".into(),
        address: "localhost:5432".into(),
        replica,
    }
}

fn mirror() -> Mirror {
    let mut mirror = Mirror::default();
    mirror.pool(1, description(false));
    mirror.pool(2, description(true));
    mirror
}

fn socket(identity: u64) -> Option<Socket> {
    Some(Socket {
        identity: Identity(identity),
        descriptor: -1,
        host: Arc::from("10.0.0.1:5432"),
        watched: true,
        opened_after: None,
        seen_at: Instant::now(),
    })
}

#[test]
fn an_owner_holds_what_it_took_and_has_not_given_back() {
    let mut mirror = mirror();
    let (first, second) = (mirror.enlist(1), mirror.enlist(2));
    mirror.checkout(first, Lease::new(7, 7));
    mirror.checkout(second, Lease::new(7, 7));
    assert_eq!(mirror.held(7, Instant::now()), Held::These(vec![first, second]));
    mirror.checkin(first);
    assert_eq!(mirror.held(7, Instant::now()), Held::These(vec![second]));
    mirror.checkin(second);
    assert_eq!(mirror.held(7, Instant::now()), Held::Nothing);
    assert_eq!(mirror.held(8, Instant::now()), Held::Nothing);
}

#[test]
fn a_lease_that_ended_without_a_word_goes_with_the_next_owner() {
    let mut mirror = mirror();
    let connection = mirror.enlist(1);
    mirror.checkout(connection, Lease::new(7, 7));
    mirror.checkout(connection, Lease::new(8, 8));
    assert_eq!(mirror.leases(7), []);
    assert_eq!(mirror.leases(8), [connection]);
}

#[test]
fn a_lease_that_ended_without_a_word_goes_with_the_next_walk() {
    let mut mirror = mirror();
    let (kept, taken_over) = (mirror.enlist(1), mirror.enlist(1));
    mirror.checkout(kept, Lease::new(7, 7));
    mirror.checkout(taken_over, Lease::new(7, 7));
    mirror.found_with(kept, 7);
    mirror.found_with(taken_over, 8);
    assert_eq!(mirror.leases(7), [kept]);
    assert_eq!(mirror.leases(8), []);
}

#[test]
fn an_unknown_checkin_is_ignored() {
    assert_eq!(mirror().checkin(99_999), None);
}

#[test]
fn a_hang_up_condemns_the_connection_whose_socket_it_is_and_only_once() {
    let mut mirror = mirror();
    let (busy, idle) = (mirror.enlist(1), mirror.enlist(1));
    mirror.checkout(busy, Lease::new(7, 7));
    mirror.socket(busy, socket(100));
    mirror.socket(idle, socket(101));

    let hung_up = mirror.hung_up(Identity(100)).unwrap();
    assert_eq!((hung_up.connection, hung_up.idle, hung_up.sockets), (busy, false, 2));
    assert_eq!(mirror.hung_up(Identity(100)), None);
    assert!(mirror.hung_up(Identity(101)).unwrap().idle);
    assert_eq!(mirror.hung_up(Identity(102)), None);
    assert_eq!(mirror.checkout(idle, Lease::new(8, 8)), Look::Condemned);
}

#[test]
fn a_late_hang_up_of_the_socket_before_a_reconnect_condemns_nothing() {
    let mut mirror = mirror();
    let connection = mirror.enlist(1);
    mirror.socket(connection, socket(100));
    mirror.condemn(connection, Condemned::HungUp);
    mirror.socket(connection, socket(200));
    assert_eq!(mirror.condemned(connection), None);
    assert_eq!(mirror.hung_up(Identity(100)), None);
    assert_eq!(mirror.condemned(connection), None);
}

#[test]
fn what_the_watch_could_not_take_is_looked_at_when_it_is_checked_out() {
    let mut mirror = mirror();
    let connection = mirror.enlist(1);
    mirror.socket(connection, socket(100));
    mirror.unwatched(connection);
    assert_eq!(mirror.checkout(connection, Lease::new(7, 7)), Look::Peek);
}

#[test]
fn a_demoted_host_loses_every_connection_but_those_of_replica_pools() {
    let mut mirror = mirror();
    let (writing, reading, elsewhere) = (mirror.enlist(1), mirror.enlist(2), mirror.enlist(1));
    mirror.socket(writing, socket(100));
    mirror.socket(reading, socket(101));
    let mut other = socket(102).unwrap();
    other.host = Arc::from("10.0.0.2:5432");
    mirror.socket(elsewhere, Some(other));

    assert_eq!(mirror.condemn_host("10.0.0.1:5432"), [writing]);
    assert_eq!(mirror.condemned(reading), None);
    assert_eq!(mirror.condemned(elsewhere), None);
}

#[test]
fn only_leases_from_before_the_present_work_are_from_before() {
    let mut mirror = mirror();
    let (old, new, seeded) = (mirror.enlist(1), mirror.enlist(1), mirror.enlist(1));
    let start = Instant::now();
    let mut lease = Lease::new(7, 7);
    lease.since = start - Duration::from_secs(1);
    mirror.checkout(old, lease.clone());
    assert!(!mirror.from_before(old), "no piece of work has ended yet");
    mirror.job(7, Job::default(), start);
    lease.since = start + Duration::from_secs(1);
    mirror.checkout(new, lease);
    mirror.seed(seeded, Lease::seeded(7));

    assert!(mirror.from_before(old));
    assert!(!mirror.from_before(new));
    assert!(mirror.from_before(seeded));
}

#[test]
fn a_job_is_known_until_its_release_is_over() {
    let mut mirror = mirror();
    let job = Job {
        topic: Some("orders".into()),
        partition: Some(3),
    };
    mirror.job(7, job.clone(), Instant::now());
    assert_eq!(mirror.job_of(7), Some(job));
    mirror.released(7, Instant::now());
    assert_eq!(mirror.job_of(7), None);
}

#[test]
fn a_walk_forgets_what_is_gone_and_keeps_what_came_while_it_walked() {
    let mut mirror = mirror();
    let (gone, there) = (mirror.enlist(1), mirror.enlist(1));
    mirror.socket(gone, socket(100));
    mirror.checkout(gone, Lease::new(7, 7));
    let newest = Mirror::newest();
    let late = mirror.enlist(1);
    mirror.retain(newest, &[there]);

    assert_eq!(mirror.leases(7), []);
    assert_eq!(mirror.hung_up(Identity(100)), None);
    assert_eq!(mirror.pool_of(there), Some(1));
    assert_eq!(mirror.pool_of(late), Some(1));
}

#[test]
fn a_miss_is_told_once_and_a_known_lease_is_none() {
    let mut mirror = mirror();
    let connection = mirror.enlist(1);
    assert!(mirror.seed(connection, Lease::seeded(7)));
    assert!(!mirror.seed(connection, Lease::seeded(7)));
    assert!(mirror.keep(connection));
    assert!(!mirror.keep(connection));
}

#[test]
fn owners_that_hold_nothing_do_not_pile_up() {
    let mut mirror = mirror();
    let connection = mirror.enlist(1);
    mirror.checkout(connection, Lease::new(1, 1));
    for owner in 2..10_000 {
        mirror.held(owner, Instant::now());
    }
    assert!(mirror.sizes().1 <= OWNERS + 1);
    assert_eq!(mirror.leases(1), [connection]);
}

#[test]
fn a_condemned_connection_is_reported_once_for_each_of_its_marks() {
    let mut mirror = mirror();
    let connection = mirror.enlist(1);
    assert!(!mirror.report(connection), "nothing speaks against it");
    mirror.condemn(connection, Condemned::HungUp);
    assert!(mirror.report(connection));
    assert!(!mirror.report(connection));
    mirror.socket(connection, None);
    mirror.condemn(connection, Condemned::HungUp);
    assert!(mirror.report(connection));
}

#[test]
fn counts_are_kept_by_pool_and_apart_from_what_would_have_been_done() {
    let mut mirror = mirror();
    mirror.count(1, Counter::Released, false);
    mirror.count(1, Counter::Evicted, true);
    mirror.count(99, Counter::Evicted, true);
    let (_, pool) = mirror.pools().find(|(number, _)| *number == 1).unwrap();
    let done: u64 = pool.counters.values().map(|(_, value)| value).sum();
    let would: u64 = pool.would.values().map(|(_, value)| value).sum();
    assert_eq!((done, would), (1, 1));
}
