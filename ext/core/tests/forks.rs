//! A child starts clean, whatever its parent's other threads held when it was forked. One process value a program, hence
//! one test.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used)]

use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::mpsc::channel;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use poolkeeper_core::event::Event;
use poolkeeper_core::observed::{Description, Look};
use poolkeeper_core::process::{self, Process};
use poolkeeper_core::socket;
use rustix::process::{getrlimit, kill_process, setrlimit, waitpid, Pid, Resource, Rlimit, Signal, WaitOptions};

const LONG: Duration = Duration::from_secs(10);

/// Runs `body` in a child, and tells whether it came to its end.
fn in_a_child(body: impl FnOnce()) -> bool {
    // SAFETY: the child runs `body`, which takes no lock of std's that another thread may hold here, and ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let status = i32::from(catch_unwind(AssertUnwindSafe(body)).is_err());
        // SAFETY: nothing of the parent's is to run in its child.
        unsafe { libc::_exit(status) };
    }
    let child = Pid::from_raw(pid).unwrap();
    let deadline = Instant::now() + LONG;
    loop {
        if let Some((_, status)) = waitpid(Some(child), WaitOptions::NOHANG).unwrap() {
            return status.exit_status() == Some(0);
        }
        if Instant::now() > deadline {
            kill_process(child, Signal::KILL).unwrap();
            waitpid(Some(child), WaitOptions::empty()).unwrap();
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn connect(server: &TcpListener) -> (TcpStream, TcpStream) {
    let ours = TcpStream::connect(server.local_addr().unwrap()).unwrap();
    (ours, server.accept().unwrap().0)
}

/// One connection, used once by owner 7 and given back.
fn idle(process: &'static Process, socket: &TcpStream) -> u64 {
    let description = Description {
        name: "primary".into(),
        role: "writing".into(),
        shard: "default".into(),
        address: "localhost".into(),
        replica: false,
    };
    process.mirror(|mirror| mirror.pool(1, description));
    let connection = process.mirror(|mirror| mirror.enlist(1));
    process.checkout(connection, 7, 7);
    process.checkin(connection, socket.as_raw_fd());
    connection
}

/// What the machinery has open: epolls and wake-ups.
fn machinery() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.filter(|link| link.to_string_lossy().contains("[event")).count()
}

/// Starts clean, and has the background notice a hang-up.
fn works(server: &TcpListener, opened: usize) {
    process::forked();
    let process = process::current();
    assert_eq!(process.mirror(|mirror| mirror.sizes()), (0, 0));
    assert_eq!(machinery(), 0, "the parent's is closed here");
    let (ours, theirs) = connect(server);
    let connection = idle(process, &ours);
    assert_eq!(machinery(), opened);
    drop(theirs);
    let deadline = Instant::now() + LONG;
    while process.events.pop() != Some(Event::Evict(connection)) {
        assert!(Instant::now() < deadline, "nobody noticed");
    }
    assert_eq!(process.checkout(connection, 7, 7), Look::Condemned);
}

/// A process at its limit of descriptors cannot open the null device beside what it has.
fn parts_without_a_number_left(server: &TcpListener) {
    let (ours, theirs) = connect(server);
    let inherited = ours.try_clone().unwrap();
    let socket = socket::identity(inherited.as_raw_fd()).unwrap();
    let limit = Rlimit {
        current: Some(256),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    let rest: Vec<_> = std::iter::from_fn(|| ours.try_clone().ok()).collect();
    assert!(!rest.is_empty());
    assert!(socket::part(inherited.as_raw_fd(), socket));
    let link = std::fs::read_link(format!("/proc/self/fd/{}", inherited.as_raw_fd())).unwrap();
    assert_eq!(link.to_string_lossy(), "/dev/null");
    assert!(!socket::hung_up(theirs.as_raw_fd()));
}

#[test]
fn a_child_works_while_other_threads_of_its_parent_hold_every_lock_and_children_of_children_pile_nothing_up() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let process = process::current();
    process.observe();
    let (ours, theirs) = connect(&server);
    let connection = idle(process, &ours);
    let opened = machinery();
    assert!(opened > 0);

    // Whoever notices the hang-up stays in the middle of it.
    let (collecting, entered) = channel();
    let (go_on, waits) = channel::<()>();
    let waits = std::sync::Mutex::new(waits);
    process.events.wake_with(Arc::new(move || {
        collecting.send(()).unwrap();
        waits.lock().unwrap().recv().unwrap();
    }));
    drop(theirs);
    entered.recv_timeout(LONG).unwrap();
    // ... and another stays in the mirror.
    let (locked, is_locked) = channel();
    let (unlock, unlocks) = channel::<()>();
    let holder = thread::spawn(move || {
        process.mirror(|_| {
            locked.send(()).unwrap();
            unlocks.recv().unwrap();
        });
    });
    is_locked.recv_timeout(LONG).unwrap();

    assert!(in_a_child(|| parts_without_a_number_left(&server)));

    let levels = || {
        works(&server, opened);
        assert!(in_a_child(|| {
            works(&server, opened);
            assert!(in_a_child(|| works(&server, opened)));
        }));
    };
    assert!(in_a_child(levels));

    unlock.send(()).unwrap();
    holder.join().unwrap();
    go_on.send(()).unwrap();
    assert_eq!(process.checkout(connection, 7, 7), Look::Condemned);
    assert_eq!(machinery(), opened, "the parent's stays open");
}
