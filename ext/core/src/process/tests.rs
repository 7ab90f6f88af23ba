//! Leases, real sockets and the watch together; each test has a process value of its own.

mod awaited;
mod overdue;
mod silence;

use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use super::*;
use crate::fault::Fault;
use crate::observed::{Description, Lease, Look};

struct Server(TcpListener);

impl Server {
    fn new() -> Self {
        Server(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn connect(&self) -> (TcpStream, TcpStream) {
        let ours = TcpStream::connect(self.0.local_addr().unwrap()).unwrap();
        (ours, self.0.accept().unwrap().0)
    }
}

fn process() -> &'static Process {
    let process = Process::leaked(None);
    for (number, replica) in [(1, false), (2, true)] {
        let description = Description {
            name: number.to_string(),
            role: String::new(),
            shard: String::new(),
            address: "localhost".into(),
            replica,
        };
        process.mirror(|mirror| mirror.pool(number, description));
    }
    process
}

/// One connection, used once by owner 7 and given back.
fn idle(process: &'static Process, pool: u64, socket: &TcpStream) -> u64 {
    let connection = process.mirror(|mirror| mirror.enlist(pool));
    process.checkout(connection, 7, 7);
    process.checkin(connection, socket.as_raw_fd());
    connection
}

/// Events until one fits, with a deadline.
fn event(process: &Process, fits: impl Fn(&Event) -> bool) -> Event {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match process.events.pop() {
            Some(event) if fits(&event) => return event,
            Some(_) => {}
            None => assert!(Instant::now() < deadline, "no such event"),
        }
    }
}

fn named(name: &str) -> impl Fn(&Event) -> bool + '_ {
    move |event| matches!(event, Event::Notice(notice) if notice.name == name)
}

#[test]
fn an_idle_connection_is_to_be_evicted_when_its_server_hangs_up_and_nobody_asks() {
    let (process, server) = (process(), Server::new());
    let (ours, theirs) = server.connect();
    let connection = idle(process, 1, &ours);
    drop(theirs);
    event(process, |event| *event == Event::Evict(connection));
}

#[test]
fn a_hang_up_in_the_kernel_is_known_at_the_very_next_checkout() {
    let (process, server) = (process(), Server::new());
    // Often enough to meet the background in the middle of its own look.
    for _ in 0..2_000 {
        let (ours, theirs) = server.connect();
        let connection = idle(process, 1, &ours);
        drop(theirs);
        // A loaded machine carries it across the loopback a moment later.
        assert_eq!(ours.peek(&mut [0]).unwrap(), 0);
        assert_eq!(process.checkout(connection, 7, 7), Look::Condemned);
    }
}

#[test]
fn a_busy_connection_that_dies_is_evicted_when_it_comes_back() {
    let (process, server) = (process(), Server::new());
    let (ours, theirs) = server.connect();
    let connection = idle(process, 1, &ours);
    assert_eq!(process.checkout(connection, 7, 7), Look::Fine);
    drop(theirs);
    process.checkin(connection, ours.as_raw_fd());
    event(process, |event| *event == Event::Evict(connection));
}

#[test]
fn another_socket_behind_the_same_number_is_noticed() {
    let (process, server) = (process(), Server::new());
    let (first, _kept) = server.connect();
    let connection = idle(process, 1, &first);
    let (second, theirs) = server.connect();
    process.checkout(connection, 7, 7);
    let mut number = std::mem::ManuallyDrop::new(std::os::fd::OwnedFd::from(first));
    rustix::io::dup2(&second, &mut number).unwrap();
    process.checkin(connection, number.as_raw_fd());
    drop((second, theirs));
    event(process, |event| *event == Event::Evict(connection));
}

#[test]
fn without_a_watch_a_socket_is_to_be_looked_at() {
    let (process, server) = (process(), Server::new());
    process.want_watch(false);
    let (ours, _theirs) = server.connect();
    let connection = idle(process, 1, &ours);
    assert_eq!(process.checkout(connection, 7, 7), Look::Peek);
}

#[test]
fn an_error_condemns_the_connection_its_owner_holds_and_no_other() {
    let (process, server) = (process(), Server::new());
    let (ours, _theirs) = server.connect();
    let (others, _also) = server.connect();
    let failing = idle(process, 1, &ours);
    let other = idle(process, 1, &others);
    process.checkout(failing, 7, 7);
    process.checkout(other, 8, 8);

    assert_eq!(process.fault(Fault::Dead, Some(1), 7).condemned, 1);
    assert_eq!(process.mirror(|mirror| mirror.condemned(other)), None);
    assert!(!process.healthy());
    event(process, named("incident.opened"));
}

#[test]
fn an_error_without_a_pool_means_the_only_pool_its_owner_holds_or_none() {
    let (process, server) = (process(), Server::new());
    let (ours, _theirs) = server.connect();
    let (replica, _also) = server.connect();
    let connection = idle(process, 1, &ours);
    let reading = idle(process, 2, &replica);
    assert_eq!(process.fault(Fault::Dead, None, 7).pools, [0; 0]);
    process.checkout(connection, 7, 7);
    assert_eq!(process.fault(Fault::Dead, None, 7).pools, [1]);
    // A connect failed: that pool is just the one whose connection nobody has.
    assert_eq!(process.fault(Fault::Unreachable, None, 7).pools, [0; 0]);
    process.checkout(reading, 7, 7);
    assert_eq!(process.fault(Fault::Dead, None, 7).condemned, 0);
}

#[test]
fn an_incident_ends_with_the_first_connection_opened_after_it() {
    let (process, server) = (process(), Server::new());
    let (ours, _theirs) = server.connect();
    let connection = idle(process, 1, &ours);
    process.fault(Fault::Unreachable, Some(1), 7);
    assert!(!process.healthy());

    process.checkout(connection, 7, 7);
    process.checkin(connection, ours.as_raw_fd());
    assert!(!process.healthy(), "a socket from before proves nothing yet");
    let (new, _also) = server.connect();
    idle(process, 1, &new);
    assert!(process.healthy());
    event(process, named("incident.closed"));
}

#[test]
fn a_demotion_condemns_the_host_but_not_its_replica_pools() {
    let (process, server) = (process(), Server::new());
    let (first, _theirs) = server.connect();
    let (second, _also) = server.connect();
    let (writing, reading) = (idle(process, 1, &first), idle(process, 2, &second));
    assert_eq!(process.fault(Fault::Demoted, Some(2), 7).condemned, 0);
    assert_eq!(process.fault(Fault::Demoted, Some(1), 7).condemned, 1);
    assert_eq!(process.checkout(writing, 7, 7), Look::Condemned);
    assert_eq!(process.checkout(reading, 7, 7), Look::Fine);
}

#[test]
fn three_sockets_that_hang_up_together_open_an_incident_and_one_does_not() {
    let (process, server) = (process(), Server::new());
    let mut sockets: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for (ours, _) in &sockets {
        idle(process, 1, ours);
    }
    drop(sockets.pop());
    process.collect();
    assert!(process.healthy());
    // The other half has to be gone before anybody looks, or the background would see them one by one.
    let kept: Vec<_> = sockets.into_iter().map(|(ours, theirs)| (ours, drop(theirs))).collect();
    event(process, named("incident.opened"));
    assert!(!process.healthy());
    drop(kept);
}

#[test]
fn settling_sees_a_dead_socket_that_was_never_watched() {
    let (process, server) = (process(), Server::new());
    let (ours, theirs) = server.connect();
    let connection = process.mirror(|mirror| mirror.enlist(1));
    process.checkout(connection, 7, 7);
    assert_eq!(process.settle(connection, ours.as_raw_fd()), None);
    drop(theirs);
    assert!(process.settle(connection, ours.as_raw_fd()).is_some());
    assert_eq!(
        process.settle(connection, -1),
        process.mirror(|mirror| mirror.condemned(connection))
    );
}

#[test]
fn a_lease_from_before_a_demotion_brings_no_connection_back_in() {
    let (process, server) = (process(), Server::new());
    let (known, _theirs) = server.connect();
    idle(process, 1, &known);
    let connection = process.mirror(|mirror| mirror.enlist(1));
    process.mirror(|mirror| mirror.checkout(connection, Lease::new(8, 8)));
    process.fault(Fault::Demoted, Some(1), 7);

    let (unseen, _also) = server.connect();
    process.checkin(connection, unseen.as_raw_fd());
    event(process, |event| *event == Event::Evict(connection));
}
