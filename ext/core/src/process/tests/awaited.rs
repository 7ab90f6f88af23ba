//! Hosts that somebody waits for.

use super::*;

fn open_incident(process: &'static Process, fault: Fault) {
    process.fault(fault, Some(1), 7);
}

fn connected(process: &'static Process, server: &Server, pool: u64) -> (u64, TcpStream, TcpStream) {
    let (ours, theirs) = server.connect();
    (idle(process, pool, &ours), ours, theirs)
}

#[test]
fn a_pool_is_waited_for_while_its_host_has_an_incident_and_a_replica_by_no_writer() {
    let (process, server) = (process(), Server::new());
    let (_first, _second) = (connected(process, &server, 1), connected(process, &server, 2));
    assert_eq!(process.troubled(None, false), []);
    open_incident(process, Fault::Dead);
    let mut all = process.troubled(None, false);
    all.sort_unstable();
    assert_eq!(all, [1, 2]);
    assert_eq!(process.troubled(Some("writing"), true), [1]);
    assert_eq!(process.troubled(Some("reading"), false), []);
}

#[test]
fn a_server_that_refuses_writes_is_up_for_readers_only_though_they_have_ended_its_incident() {
    let (process, server) = (process(), Server::new());
    let (first, ours, _theirs) = connected(process, &server, 1);
    open_incident(process, Fault::Demoted);
    process.checkout(first, 7, 7);
    process.checkin(first, -1);
    let (reader, again, _end) = connected(process, &server, 1);
    assert_eq!(process.troubled(None, false), []);
    assert_eq!(process.troubled(Some("writing"), true), [1]);

    // An attempt that is refused proves nothing, and its connection goes.
    process.checkout(reader, 8, 8);
    process.writes(1, 8, false);
    assert_eq!(process.checkout(reader, 9, 9), Look::Condemned);
    drop((ours, again));

    let (writer, _socket, _other) = connected(process, &server, 1);
    process.checkout(writer, 8, 8);
    process.writes(1, 8, true);
    assert_eq!(process.troubled(Some("writing"), true), []);
}

#[test]
fn a_server_that_a_pool_has_left_is_waited_for_by_nobody_though_it_was_met_last() {
    let (process, old, new) = (process(), Server::new(), Server::new());
    let (_working, _ours, _theirs) = connected(process, &new, 1);
    // Opened by what the name meant a moment ago, and told of last.
    let (late, _its, _end) = connected(process, &old, 1);
    open_incident(process, Fault::Dead);
    let now = Instant::now();
    let works = |seconds| {
        let (host, after) = (
            new.0.local_addr().unwrap().to_string(),
            now + Duration::from_secs(seconds),
        );
        process.works(&host, Some(1), None, after, after);
    };
    // Its connections may yet tell.
    works(2);
    assert!(!process.healthy());
    process.dropped(late);
    works(2);
    assert!(process.healthy());
    assert!(!process.hosts.any_incident());
}
