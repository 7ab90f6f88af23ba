//! Ending what waits for a peer that is silent, from outside and whoever waits.

use std::os::fd::{AsRawFd, RawFd};

use rustix::net::{shutdown, Shutdown};

use super::{borrow, Identity};

/// Shuts one socket down, whatever its descriptor's number means by now: its owner gets its error at once.
///
/// Check and act concern one socket. The duplicate leads to whatever the number led to when it was made, for as long as
/// it is open, and nothing is done unless that is the socket that was meant. Returns whether it was, and was connected.
pub fn sever(descriptor: RawFd, socket: Identity) -> bool {
    // A number that leads to a file by now is not even duplicated: whoever closes any descriptor of a file gives up all
    // the locks that this process has on it, those of an open SQLite database among them.
    if super::identity(descriptor).is_none() {
        return false;
    }
    let Some(duplicate) = borrow(descriptor).and_then(|number| rustix::io::fcntl_dupfd_cloexec(number, 0).ok()) else {
        return false;
    };
    let leads_to = super::identity(duplicate.as_raw_fd());
    if leads_to.is_none() {
        // It has become one in this very moment. A descriptor too many costs less.
        std::mem::forget(duplicate);
        return false;
    }
    (crate::trip::off("identity") || leads_to == Some(socket)) && shutdown(&duplicate, Shutdown::Both).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::{hung_up, identity};
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::Arc;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    #[test]
    fn whoever_waits_gets_an_end_at_once_and_keeps_the_descriptor() {
        use std::io::Read;
        let (ours, _silent) = pair();
        let (number, socket) = (ours.as_raw_fd(), identity(ours.as_raw_fd()).unwrap());
        let mut waiting = ours.try_clone().unwrap();
        let waiter = std::thread::spawn(move || waiting.read(&mut [0; 1]).unwrap());
        assert!(sever(number, socket));
        assert_eq!(waiter.join().unwrap(), 0);
        assert_eq!(identity(number), Some(socket));
    }

    #[test]
    fn another_socket_under_the_same_number_is_left_alone() {
        let (first, _peer) = pair();
        let (number, socket) = (first.as_raw_fd(), identity(first.as_raw_fd()).unwrap());
        let (second, other_peer) = pair();
        rustix::io::dup2(&second, &mut std::mem::ManuallyDrop::new(first.into())).unwrap();
        assert!(!sever(number, socket));
        assert!(!hung_up(other_peer.as_raw_fd()));
        assert!(!sever(-1, socket));
        assert!(!sever(999_999, socket));
    }

    #[test]
    fn a_file_under_the_same_number_keeps_the_locks_of_this_process() {
        let (ours, _peer) = pair();
        let (number, socket) = (ours.as_raw_fd(), identity(ours.as_raw_fd()).unwrap());
        let path = std::env::temp_dir().join(format!("poolkeeper-sever-{}", std::process::id()));
        let file = std::fs::File::create(&path).unwrap();
        rustix::io::dup2(&file, &mut std::mem::ManuallyDrop::new(ours.into())).unwrap();
        let lock = || rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive);
        lock().unwrap();
        assert!(!sever(number, socket));
        let inode = std::os::unix::fs::MetadataExt::ino(&file.metadata().unwrap());
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(locks.contains(&format!(":{inode} ")), "the lock is gone:\n{locks}");
    }

    /// What drivers do without the GVL: close a socket and open another, which gets its number.
    #[test]
    fn ten_thousand_times_a_number_is_reused_between_record_and_sever() {
        let (victim, victims_peer) = pair();
        let (innocent, innocents_peer) = pair();
        let (old, socket) = (victim.as_raw_fd(), identity(victim.as_raw_fd()).unwrap());
        let done = Arc::new(AtomicBool::new(false));
        let (stop, kept) = (done.clone(), victim.try_clone().unwrap());
        let mut number = std::mem::ManuallyDrop::new(std::os::fd::OwnedFd::from(victim));
        let swapping = std::thread::spawn(move || {
            let mut turn = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                let next: std::os::fd::BorrowedFd<'_> = match turn % 2 {
                    0 => std::os::fd::AsFd::as_fd(&innocent),
                    _ => std::os::fd::AsFd::as_fd(&kept),
                };
                rustix::io::dup2(next, &mut number).unwrap();
                turn += 1;
            }
            (innocent, turn)
        });
        let severed = (0..10_000).filter(|_| sever(old, socket)).count();
        done.store(true, Ordering::Relaxed);
        let (_innocent, turns) = swapping.join().unwrap();
        assert!(severed > 0 && turns > 100, "{severed} severed in {turns} turns");
        assert!(hung_up(victims_peer.as_raw_fd()));
        assert!(!hung_up(innocents_peer.as_raw_fd()));
    }
}
