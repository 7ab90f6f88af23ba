//! What a runtime has open, which gives no number away. Where there is no `/proc` nothing is found.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use crate::socket;
use crate::trip;

const EPOLL: &str = "anon_inode:[eventpoll]";
const EVENTFD: &str = "anon_inode:[eventfd]";

/// The descriptors that a runtime may have open: to be asked for before one is started, and afterwards.
pub fn pollers() -> Vec<RawFd> {
    let mut found = open_descriptors();
    found.retain(|descriptor| is_epoll(*descriptor) || leads_to(*descriptor, EVENTFD));
    found
}

/// Which of these descriptors are epolls.
pub fn epolls(descriptors: &[RawFd]) -> Vec<RawFd> {
    let descriptors = descriptors.iter().copied();
    descriptors.filter(|descriptor| is_epoll(*descriptor)).collect()
}

/// What an epoll watches.
pub fn watched_by(epoll: RawFd) -> Vec<RawFd> {
    targets(epoll).into_iter().map(|(descriptor, _)| descriptor).collect()
}

/// In a forked child: points the sockets that the parent's runtime follows at the null device. A duplicate would keep
/// the server's end alive, or be spoken to in the parent's name.
///
/// `opened` are the descriptors that came with the runtime, among which others of the same kinds may be.
pub fn part_from_sockets(opened: &[RawFd]) {
    if trip::off("parting") {
        return;
    }
    for epoll in of_runtime(opened) {
        for (descriptor, inode) in targets(epoll) {
            // A child may have closed all that it inherited, and have something else under these numbers by now.
            if socket::inode(descriptor) != Some(inode) {
                continue;
            }
            if let Some(identity) = socket::connection(descriptor) {
                socket::part(descriptor, identity);
            }
        }
    }
}

/// In a forked child: closes what the parent's runtime has open but for its sockets. It may not be used here again, nor
/// dropped.
pub fn abandon(opened: &[RawFd]) {
    let epolls = of_runtime(opened);
    let mut descriptors: Vec<RawFd> = epolls.iter().flat_map(|epoll| watched_by(*epoll)).collect();
    descriptors.retain(|descriptor| opened.contains(descriptor) && leads_to(*descriptor, EVENTFD));
    descriptors.extend(epolls);
    close(descriptors);
}

/// A runtime's epolls are those that watch its own wake-up.
fn of_runtime(opened: &[RawFd]) -> Vec<RawFd> {
    let mut epolls = epolls(opened);
    epolls.retain(|epoll| {
        let mut watched = watched_by(*epoll).into_iter();
        watched.any(|target| opened.contains(&target) && leads_to(target, EVENTFD))
    });
    epolls
}

/// The descriptors of the runtime that follows this one: its epolls are those that watch it, and its wake-up is the
/// other thing they watch.
pub(super) fn runtime_of(follower: RawFd) -> Vec<RawFd> {
    let mut found = Vec::new();
    for descriptor in epolls(&open_descriptors()) {
        let watched = watched_by(descriptor);
        if watched.contains(&follower) {
            let wake_ups = watched.into_iter();
            found.extend(wake_ups.filter(|number| leads_to(*number, EVENTFD)));
            found.push(descriptor);
        }
    }
    found
}

/// Closes what nobody else closes: the descriptors of a runtime and of a watch that a fork has left behind.
pub(super) fn close(mut descriptors: Vec<RawFd>) {
    descriptors.sort_unstable();
    descriptors.dedup();
    for descriptor in descriptors {
        // SAFETY: these belong to the watch or to its runtime, as whoever calls this has seen, and both were leaked:
        // nobody else closes them.
        drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
    }
}

/// Whether a descriptor leads to an epoll.
pub(super) fn is_epoll(descriptor: RawFd) -> bool {
    leads_to(descriptor, EPOLL)
}

/// Whether two numbers lead to one epoll, by what it watches.
pub(super) fn same(one: RawFd, other: RawFd) -> bool {
    watched_by(one) == watched_by(other)
}

fn leads_to(descriptor: RawFd, kind: &str) -> bool {
    let link = std::fs::read_link(format!("/proc/self/fd/{descriptor}"));
    link.is_ok_and(|link| link.to_string_lossy() == kind)
}

fn open_descriptors() -> Vec<RawFd> {
    let numbers = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    numbers
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// What an epoll watches, by number and inode, as the kernel tells it: `tfd: 12 events: 19 data: 7 pos:0 ino:3f sdev:8`.
fn targets(epoll: RawFd) -> Vec<(RawFd, u64)> {
    let told = std::fs::read_to_string(format!("/proc/self/fdinfo/{epoll}")).unwrap_or_default();
    let targets = told.lines().filter_map(|line| line.strip_prefix("tfd:"));
    targets
        .filter_map(|target| {
            let descriptor = target.split_whitespace().next()?.parse().ok()?;
            let inode = target.split_whitespace().find_map(|word| word.strip_prefix("ino:"));
            Some((descriptor, inode.and_then(|inode| u64::from_str_radix(inode, 16).ok())?))
        })
        .collect()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_runtime_is_known_by_its_wake_up_and_its_sockets_by_their_inodes() {
        let before = pollers();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_io()
            .build()
            .unwrap();
        let mut opened = pollers();
        opened.retain(|descriptor| !before.contains(descriptor));
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let socket = runtime.block_on(async move { tokio::net::TcpStream::connect(address).await.unwrap() });

        let epolls = of_runtime(&opened);
        assert!(!epolls.is_empty());
        let found = targets(epolls[0])
            .into_iter()
            .find(|(number, _)| *number == socket.as_raw_fd());
        assert_eq!(found.map(|(_, inode)| inode), socket::inode(socket.as_raw_fd()));
        assert_eq!(of_runtime(&[server.as_raw_fd(), -1]), [0; 0]);
    }
}
