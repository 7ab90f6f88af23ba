//! Sockets that belong to others: identity, peek, deadline, shutdown.
//!
//! The descriptors here are owned by a database driver. They are never kept, closed or handed to anything that would
//! close them; a number is used within the call that was given it, and only its identity is remembered.

pub mod deadline;
mod sever;
mod tcp;

use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::net::{getpeername, shutdown, Shutdown, SocketAddrAny, SocketAddrUnix};

pub use sever::sever;
pub use tcp::heard;

/// Stands for the socket of a driver that does not tell of it.
pub const UNTOLD: RawFd = -2;

/// What makes a socket that socket and no other, whatever its descriptor's number means by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity(pub u64);

/// Borrows a descriptor for the length of one call.
///
/// A number that is not open is no danger: the kernel answers EBADF.
pub(crate) fn borrow(descriptor: RawFd) -> Option<BorrowedFd<'static>> {
    if descriptor < 0 {
        return None;
    }
    // SAFETY: the borrow is not kept beyond the call, and -1, the only value that may not be borrowed, was sent away above.
    // A number that its driver has closed is no danger to memory: it leads nowhere, or to another file, and whoever acts
    // on it sees to it that it is still the one that was meant.
    Some(unsafe { BorrowedFd::borrow_raw(descriptor) })
}

/// Tells which socket a descriptor leads to, or `None` where it leads to none.
#[cfg(target_os = "linux")]
pub fn identity(descriptor: RawFd) -> Option<Identity> {
    let cookie = rustix::net::sockopt::socket_cookie(borrow(descriptor)?).ok()?;
    Some(Identity(cookie))
}

/// Tells which socket a descriptor leads to, or `None` where it leads to none.
#[cfg(not(target_os = "linux"))]
pub fn identity(descriptor: RawFd) -> Option<Identity> {
    // No cookie here: the inode is unique among the sockets that are open, which is as near as one can come. Some
    // systems give sockets none.
    let stat = rustix::fs::fstat(borrow(descriptor)?).ok()?;
    let socket = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_socket();
    (socket && stat.st_ino != 0).then_some(Identity(stat.st_ino as u64))
}

/// The same for a socket that is or was a connection: one that listens is nobody's.
pub fn connection(descriptor: RawFd) -> Option<Identity> {
    let listens = rustix::net::sockopt::socket_acceptconn(borrow(descriptor)?).unwrap_or(false);
    identity(descriptor).filter(|_| !listens)
}

/// The inode of what a descriptor leads to.
pub fn inode(descriptor: RawFd) -> Option<u64> {
    Some(rustix::fs::fstat(borrow(descriptor)?).ok()?.st_ino)
}

/// Names the server at the other end: `address:port`, or `unix:path`.
pub fn peer(descriptor: RawFd) -> Option<String> {
    let address = getpeername(borrow(descriptor)?).ok()??;
    if let Ok(path) = SocketAddrUnix::try_from(address.clone()) {
        return path.path().map(|path| format!("unix:{}", path.to_string_lossy()));
    }
    peer_over_ip(address)
}

fn peer_over_ip(address: SocketAddrAny) -> Option<String> {
    std::net::SocketAddr::try_from(address)
        .ok()
        .map(|address| address.to_string())
}

/// Looks at a socket without a round trip: has the peer hung up?
///
/// Merely readable means nothing: a NOTIFY, a changed setting or a TLS record makes a healthy idle socket readable.
pub fn hung_up(descriptor: RawFd) -> bool {
    let Some(socket) = borrow(descriptor) else {
        return true;
    };
    let mut polled = [PollFd::new(&socket, rdhup())];
    match poll(&mut polled, Some(&Timespec::default())) {
        Ok(0) | Err(_) => false,
        Ok(_) => polled[0]
            .revents()
            .intersects(rdhup() | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL),
    }
}

#[cfg(target_os = "linux")]
fn rdhup() -> PollFlags {
    PollFlags::RDHUP
}

#[cfg(not(target_os = "linux"))]
fn rdhup() -> PollFlags {
    PollFlags::empty()
}

/// Shuts a socket down in both directions, so that nothing done with it can wait for the network again.
///
/// Returns whether there was a connected socket to shut down. The descriptor stays open: its driver closes it.
pub fn shut_down(descriptor: RawFd) -> bool {
    borrow(descriptor).is_some_and(|socket| shutdown(socket, Shutdown::Both).is_ok())
}

/// The null device, opened before there is any child: one may be at its limit of descriptors, or see no devices.
static NULL: OnceLock<Option<File>> = OnceLock::new();

/// Opens what [`part`] needs in a child; costs one descriptor, once.
pub fn expect_forks() {
    NULL.get_or_init(|| null_device().ok());
}

/// Points a descriptor that leads to this socket at the null device instead, as long as it does lead there.
///
/// For forked children: a duplicate would keep the server's end alive when the parent is gone, and whatever a driver
/// says to it would be said in the parent's name. The socket itself is not touched, for it is the parent's.
pub fn part(descriptor: RawFd, socket: Identity) -> bool {
    if identity(descriptor) != Some(socket) {
        return false;
    }
    // SAFETY: the number is open, as was just seen, and this value of it is never dropped: its driver still closes it.
    let mut descriptor = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(descriptor) });
    let kept = NULL.get().and_then(Option::as_ref);
    // A child that closed all it had may have something else under that number.
    match kept.filter(|null| is_null_device(null)) {
        Some(null) => point_at(null, &mut descriptor).is_ok(),
        None => null_device().is_ok_and(|null| point_at(&null, &mut descriptor).is_ok()),
    }
}

fn null_device() -> std::io::Result<File> {
    File::options().read(true).write(true).open("/dev/null")
}

fn is_null_device(file: &File) -> bool {
    let device = |stat: rustix::fs::Stat| (stat.st_mode, stat.st_rdev);
    match (rustix::fs::fstat(file), rustix::fs::stat("/dev/null")) {
        (Ok(this), Ok(null)) => device(this) == device(null),
        // What it leads to can still be told apart from a socket.
        (Ok(this), Err(_)) => rustix::fs::FileType::from_raw_mode(this.st_mode).is_char_device(),
        _ => false,
    }
}

#[cfg(target_os = "linux")]
fn point_at(target: &File, descriptor: &mut OwnedFd) -> rustix::io::Result<()> {
    rustix::io::dup3(target, descriptor, rustix::io::DupFlags::CLOEXEC)
}

#[cfg(not(target_os = "linux"))]
fn point_at(target: &File, descriptor: &mut OwnedFd) -> rustix::io::Result<()> {
    rustix::io::dup2(target, descriptor)?;
    rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    #[test]
    fn a_reused_number_is_another_socket() {
        let (first, _peer) = pair();
        let number = first.as_raw_fd();
        let before = identity(number).unwrap();
        let (second, _other) = pair();
        rustix::io::dup2(&second, &mut std::mem::ManuallyDrop::new(first.into())).unwrap();

        assert_ne!(identity(number).unwrap(), before);
        assert_eq!(identity(number), identity(second.as_raw_fd()));
    }

    #[test]
    fn readable_is_not_dead() {
        let (ours, mut peer) = pair();
        peer.write_all(b"notify").unwrap();
        assert!(!hung_up(ours.as_raw_fd()));
        drop(peer);
        assert!(hung_up(ours.as_raw_fd()));
    }

    #[test]
    fn the_peer_is_named_over_tcp_and_over_a_path() {
        let (ours, peer_end) = pair();
        assert_eq!(
            peer(ours.as_raw_fd()).unwrap(),
            peer_end.local_addr().unwrap().to_string()
        );
        let (unnamed, _other) = UnixStream::pair().unwrap();
        assert_eq!(peer(unnamed.as_raw_fd()), None);
    }

    #[test]
    fn a_number_that_leads_nowhere_is_answered_and_not_trusted() {
        assert_eq!(identity(-1), None);
        assert_eq!(identity(999_999), None);
        assert_eq!(peer(999_999), None);
        assert!(!shut_down(-1));
        assert!(!shut_down(999_999));
    }

    #[test]
    fn parting_from_a_socket_leaves_it_to_whoever_else_has_it() {
        let (ours, peer_end) = pair();
        let inherited = ours.try_clone().unwrap();
        let socket = identity(ours.as_raw_fd()).unwrap();
        assert!(part(inherited.as_raw_fd(), socket));

        rustix::io::write(&inherited, b"goodbye").unwrap();
        assert_eq!(identity(inherited.as_raw_fd()), None);
        assert!(!shut_down(inherited.as_raw_fd()));
        assert!(!hung_up(peer_end.as_raw_fd()));
        peer_end.set_nonblocking(true).unwrap();
        assert!(peer_end.peek(&mut [0]).is_err(), "nothing was said");
        drop(inherited);
        assert_eq!(identity(ours.as_raw_fd()), Some(socket));
    }

    #[test]
    fn nobody_parts_from_what_has_another_socket_behind_its_number_or_none() {
        let (ours, _peer) = pair();
        let (other, _also) = pair();
        let socket = identity(ours.as_raw_fd()).unwrap();
        assert!(!part(other.as_raw_fd(), socket));
        assert!(identity(other.as_raw_fd()).is_some());
        assert!(!part(-1, socket));
        assert!(!part(999_999, socket));
    }

    #[test]
    fn shutting_down_ends_both_sides_and_leaves_the_descriptor_open() {
        let (ours, peer_end) = pair();
        assert!(shut_down(ours.as_raw_fd()));
        assert!(hung_up(peer_end.as_raw_fd()));
        assert!(identity(ours.as_raw_fd()).is_some());
    }

    #[test]
    fn a_socket_that_listens_is_nobodys_connection() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(connection(server.as_raw_fd()), None);
        let ours = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        assert!(connection(ours.as_raw_fd()).is_some());
        assert!(shut_down(ours.as_raw_fd()));
        assert_eq!(connection(ours.as_raw_fd()), identity(ours.as_raw_fd()));
        assert_eq!(connection(-1), None);
    }
}
