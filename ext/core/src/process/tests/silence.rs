//! Leases that a host monitor means to end.

use std::sync::Arc;

use super::*;
use crate::pool::Options;

fn take(pool: &NativePool, owner: u64) {
    let (wake, woken) = std::sync::mpsc::channel();
    if matches!(pool.checkout(owner, false).unwrap(), Found::Nothing) {
        let ring = Arc::new(move || {
            let _ = wake.send(());
        });
        let ticket = pool.wait(owner, ring).unwrap();
        woken.recv_timeout(Duration::from_secs(5)).unwrap();
        pool.answer(owner, ticket).unwrap().unwrap();
    }
}

#[test]
fn a_lease_of_the_same_owner_over_the_same_connection_is_not_the_one_that_was_meant() {
    let options = Options {
        name: "silence".into(),
        size: 1,
        connect_timeout: Duration::from_secs(5),
        ..Options::of_monitor()
    };
    let pool = process().native(9, "sqlite::memory:", options).unwrap();
    take(&pool, 7);
    let meant = pool.busy_leases().pop().unwrap();
    assert_eq!(
        pool.while_out(meant.connection, meant.ticket, || "ended"),
        Some("ended")
    );
    assert!(pool.release(7, false));
    assert_eq!(pool.while_out(meant.connection, meant.ticket, || "ended"), None);
    take(&pool, 7);
    let now = pool.busy_leases().pop().unwrap();
    assert_eq!((now.connection, now.owner), (meant.connection, meant.owner));
    assert_eq!(pool.while_out(meant.connection, meant.ticket, || "ended"), None);
    assert_eq!(pool.while_out(now.connection, now.ticket, || "ended"), Some("ended"));
    assert!(pool.release(7, false));
    pool.close();
}
