//! One epoll for every socket that the pools hold, told of hang-ups only.
//!
//! Edge-triggered and without EPOLLIN: traffic never wakes it. A registration ends with the socket; where a forked
//! child keeps the socket open it outlives the descriptor, so an event carries the socket's identity and whoever gets
//! it compares that with what is registered now.

pub mod runtime;

use std::os::fd::RawFd;

use crate::error::Error;
use crate::socket::Identity;

#[cfg(target_os = "linux")]
pub use linux::Watch;

/// How many hang-ups one look takes from the kernel.
#[cfg(target_os = "linux")]
const BATCH: usize = 64;

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::sync::atomic::{AtomicI32, Ordering};

    use rustix::event::epoll;
    use rustix::event::Timespec;
    use rustix::io::Errno;
    use tokio::io::unix::AsyncFd;
    use tokio::io::Interest;

    use super::runtime::{close, is_epoll, runtime_of, same};
    use super::{Error, Identity, RawFd, BATCH};
    use crate::socket::borrow;

    /// The epoll of this process.
    #[derive(Debug)]
    pub struct Watch {
        epoll: OwnedFd,
        /// The duplicate that the runtime follows, by its number: the runtime owns it.
        follower: AtomicI32,
    }

    /// No descriptor.
    const NONE: RawFd = -1;

    impl Watch {
        /// Opens the epoll.
        ///
        /// # Errors
        ///
        /// [`Error::Watch`] where the process may not open another descriptor.
        pub fn new() -> Result<Self, Error> {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|errno| Error::Watch(errno.to_string()))?;
            let follower = AtomicI32::new(NONE);
            Ok(Watch { epoll, follower })
        }

        /// Watches a socket for hang-ups from now on; one that has already hung up is told at the next look.
        pub fn add(&self, descriptor: RawFd, identity: Identity) -> bool {
            let Some(socket) = borrow(descriptor) else {
                return false;
            };
            let events = epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
            let data = epoll::EventData::new_u64(identity.0);
            match epoll::add(&self.epoll, socket, data, events) {
                Ok(()) => true,
                Err(Errno::EXIST) => epoll::modify(&self.epoll, socket, data, events).is_ok(),
                Err(_) => false,
            }
        }

        /// Tells the background runtime, in whose context this is called, when there is something to take.
        ///
        /// # Errors
        ///
        /// [`Error::Watch`] where the process may not open another descriptor.
        pub fn readiness(&self) -> Result<AsyncFd<OwnedFd>, Error> {
            // A duplicate, so that the registration has a life of its own.
            let epoll = self
                .epoll
                .try_clone()
                .map_err(|error| Error::Watch(error.to_string()))?;
            self.follower.store(epoll.as_raw_fd(), Ordering::Relaxed);
            // SAFETY: the AsyncFd owns the descriptor, and an OwnedFd always answers with the same number.
            unsafe { AsyncFd::register_with_interest(epoll, Interest::READABLE) }
                .map_err(|error| Error::Watch(error.to_string()))
        }

        /// Takes the hang-ups that have come since the last look, without waiting.
        pub fn hang_ups(&self) -> Vec<Identity> {
            let mut identities = Vec::new();
            loop {
                let mut buffer = [epoll::Event {
                    flags: epoll::EventFlags::empty(),
                    data: epoll::EventData::new_u64(0),
                }; BATCH];
                let taken = epoll::wait(&self.epoll, buffer.as_mut_slice(), Some(&Timespec::default())).unwrap_or(0);
                let dead = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
                identities.extend(
                    buffer[..taken]
                        .iter()
                        // Copied out: the kernel's structure is packed.
                        .map(|event| (event.flags, event.data))
                        .filter(|(flags, _)| flags.intersects(dead))
                        .map(|(_, data)| Identity(data.u64())),
                );
                if taken < BATCH {
                    return identities;
                }
            }
        }

        /// Closes, in a forked child, this epoll and what the runtime that follows it has open. The parent's stay as they
        /// are; neither watch nor runtime may be used here again, nor dropped.
        ///
        /// `opened` are the descriptors that the runtime has opened, among which others of the same kinds may be.
        pub fn abandon(&self, opened: &[RawFd]) {
            let follower = self.follower.swap(NONE, Ordering::Relaxed);
            let epoll = self.epoll.as_raw_fd();
            // A child may have closed all that it inherited, and have something else under these numbers by now.
            if follower == NONE || !is_epoll(follower) || !is_epoll(epoll) || !same(follower, epoll) {
                return;
            }
            let mut descriptors = runtime_of(follower);
            descriptors.retain(|descriptor| opened.contains(descriptor));
            descriptors.extend([follower, epoll]);
            close(descriptors);
        }
    }
}

/// Stands where there is no epoll: every socket is looked at when its connection is checked out.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub struct Watch;

#[cfg(not(target_os = "linux"))]
impl Watch {
    /// # Errors
    ///
    /// Always: there is no watch on this system.
    pub fn new() -> Result<Self, Error> {
        Err(Error::Watch("there is no epoll here".to_owned()))
    }

    /// Watches nothing.
    pub fn add(&self, _descriptor: RawFd, _identity: Identity) -> bool {
        false
    }

    /// Tells nothing.
    pub fn hang_ups(&self) -> Vec<Identity> {
        Vec::new()
    }

    /// Has nothing open.
    pub fn abandon(&self, _opened: &[RawFd]) {}
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::socket;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    fn add(watch: &Watch, socket: &TcpStream) -> Identity {
        let identity = socket::identity(socket.as_raw_fd()).unwrap();
        assert!(watch.add(socket.as_raw_fd(), identity));
        identity
    }

    #[test]
    fn traffic_tells_nothing_and_each_hang_up_is_told_once() {
        let watch = Watch::new().unwrap();
        let (mut ours, mut peer) = pair();
        let identity = add(&watch, &ours);
        for _ in 0..100 {
            peer.write_all(b"row").unwrap();
            ours.read_exact(&mut [0; 3]).unwrap();
            ours.write_all(b"query").unwrap();
        }
        assert_eq!(watch.hang_ups(), []);
        drop(peer);
        assert_eq!(watch.hang_ups(), [identity]);
        assert_eq!(watch.hang_ups(), []);
    }

    #[test]
    fn a_socket_that_hung_up_before_it_was_added_is_told() {
        let watch = Watch::new().unwrap();
        let (ours, peer) = pair();
        drop(peer);
        let identity = add(&watch, &ours);
        assert_eq!(watch.hang_ups(), [identity]);
    }

    #[test]
    fn added_twice_is_told_once() {
        let watch = Watch::new().unwrap();
        let (ours, peer) = pair();
        let identity = add(&watch, &ours);
        add(&watch, &ours);
        drop(peer);
        assert_eq!(watch.hang_ups(), [identity]);
    }

    #[test]
    fn more_hang_ups_than_one_batch_are_all_told() {
        let watch = Watch::new().unwrap();
        let pairs: Vec<_> = (0..BATCH + 7).map(|_| pair()).collect();
        let kept: Vec<_> = pairs
            .into_iter()
            .map(|(ours, peer)| {
                add(&watch, &ours);
                drop(peer);
                ours
            })
            .collect();
        assert_eq!(watch.hang_ups().len(), kept.len());
    }

    #[test]
    fn a_closed_socket_is_forgotten_by_itself() {
        let watch = Watch::new().unwrap();
        let (ours, _peer) = pair();
        add(&watch, &ours);
        drop(ours);
        assert_eq!(watch.hang_ups(), []);
    }

    #[test]
    fn what_is_no_socket_is_not_watched() {
        let watch = Watch::new().unwrap();
        assert!(!watch.add(-1, Identity(1)));
        assert!(!watch.add(999_999, Identity(1)));
    }
}
