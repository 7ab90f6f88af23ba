//! Leases that are out for longer than they are to be.

use super::*;
use crate::event::Overdue;

const SOON: Duration = Duration::from_millis(20);
const NEVER: Duration = Duration::MAX;

fn leased(process: &'static Process, owner: u64) -> u64 {
    let connection = process.mirror(|mirror| mirror.enlist(1));
    process.checkout(connection, owner, owner);
    connection
}

fn overdue(process: &Process) -> Overdue {
    match event(process, |event| matches!(event, Event::Overdue(_))) {
        Event::Overdue(lease) => lease,
        _ => unreachable!(),
    }
}

fn armed(process: &Process) -> bool {
    process.threshold.armed.load(Ordering::SeqCst)
}

fn wait_until(what: &str, body: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !body() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn an_old_lease_is_reported_once_with_its_owner_and_age() {
    let process = process();
    process.want_leak_reports(Some(SOON));
    let connection = leased(process, 7);
    let lease = overdue(process);
    assert_eq!((lease.pool, lease.connection, lease.owner), (1, Some(connection), 7));
    assert!(lease.seconds >= SOON.as_secs_f64());
    wait_until("the timer ends though the lease is out", || !armed(process));

    // Another lease has the timer look again, and this one is no news.
    leased(process, 8);
    assert_eq!(overdue(process).owner, 8);
    assert_eq!(process.events.pop(), None);
}

#[test]
fn a_lease_that_ends_in_time_is_no_news_and_the_timer_ends_with_it() {
    let process = process();
    process.want_leak_reports(Some(SOON));
    let connection = leased(process, 7);
    assert!(armed(process));
    process.checkin(connection, -1);
    wait_until("the timer ends", || !armed(process));
    assert_eq!(process.events.pop(), None);
}

#[test]
fn nothing_runs_and_nothing_is_reported_where_no_reports_are_wanted() {
    let process = process();
    leased(process, 7);
    assert!(process.runtime.get().is_none() && !armed(process));
    process.want_leak_reports(Some(NEVER));
    process.want_leak_reports(None);
    wait_until("the timer ends", || !armed(process));
    assert_eq!(process.events.pop(), None);
}

#[test]
fn a_threshold_that_is_set_later_holds_for_leases_that_are_out_and_a_child_inherits_it() {
    let process = process();
    process.want_leak_reports(Some(NEVER));
    leased(process, 7);
    process.want_leak_reports(Some(SOON));
    assert_eq!(overdue(process).owner, 7);

    let child = Process::leaked(Some(process));
    child.mirror(|mirror| {
        mirror.pool(
            1,
            Description {
                name: "1".into(),
                role: String::new(),
                shard: String::new(),
                address: "localhost".into(),
                replica: false,
            },
        )
    });
    let seeded = child.mirror(|mirror| mirror.enlist(1));
    assert!(child.seed(seeded, Lease::seeded(9)));
    assert_eq!(overdue(child).owner, 9);
}
