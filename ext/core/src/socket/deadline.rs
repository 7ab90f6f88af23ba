//! When the kernel gives a peer up that has vanished without a word.

use std::os::fd::RawFd;
use std::time::Duration;

/// The longest deadline: beyond it the kernel's own patience ends.
pub const LONGEST: Duration = Duration::from_secs(7_200);

/// Gives a socket over TCP a deadline: what is sent has to be acknowledged within it, and a silence as long as half of it
/// is broken by asking whether the peer is still there. A long query is left alone, for its request is acknowledged.
///
/// A value that somebody has set already stays, and so does a socket whose keepalive somebody has switched off, where
/// `keepalive_is_chosen`: libpq and libmysqlclient switch it on. Returns whether anything was set.
#[cfg(target_os = "linux")]
pub fn set(descriptor: RawFd, deadline: Duration, keepalive_is_chosen: bool) -> bool {
    use rustix::net::sockopt;

    let Some(socket) = super::borrow(descriptor) else {
        return false;
    };
    let Ok(chosen) = sockopt::tcp_user_timeout(socket) else {
        // Not TCP: over a path no peer vanishes without a word.
        return false;
    };
    let deadline = deadline.clamp(Duration::from_secs(1), LONGEST);
    let mut set = false;
    if chosen == 0 {
        let milliseconds = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX);
        set |= sockopt::set_tcp_user_timeout(socket, milliseconds).is_ok();
    }
    let is_on = sockopt::socket_keepalive(socket).unwrap_or(false);
    let own_idle = sockopt::tcp_keepidle(socket).is_ok_and(|idle| Some(idle) == system_keepidle());
    if own_idle && (is_on || !keepalive_is_chosen) {
        let idle = Duration::from_secs(deadline.as_secs().div_ceil(2));
        let interval = Duration::from_secs((deadline.as_secs() / 10).max(1));
        set |= sockopt::set_tcp_keepidle(socket, idle).is_ok();
        set |= sockopt::set_tcp_keepintvl(socket, interval).is_ok();
        set |= sockopt::set_socket_keepalive(socket, true).is_ok();
    }
    set
}

/// Gives a socket a deadline: on Linux only.
#[cfg(not(target_os = "linux"))]
pub fn set(_descriptor: RawFd, _deadline: Duration, _keepalive_is_chosen: bool) -> bool {
    false
}

/// What a new socket has, so that another value is somebody's choice.
#[cfg(target_os = "linux")]
fn system_keepidle() -> Option<Duration> {
    let told = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_keepalive_time").ok()?;
    told.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use rustix::net::sockopt;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    fn socket() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).unwrap()
    }

    #[test]
    fn half_a_deadline_of_silence_is_broken_and_nothing_sent_waits_longer_than_it() {
        let socket = socket();
        assert!(set(socket.as_raw_fd(), Duration::from_secs(10), false));
        assert_eq!(sockopt::tcp_user_timeout(&socket).unwrap(), 10_000);
        assert!(sockopt::socket_keepalive(&socket).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), Duration::from_secs(5));
        assert_eq!(sockopt::tcp_keepintvl(&socket).unwrap(), Duration::from_secs(1));
    }

    #[test]
    fn what_somebody_has_chosen_stays() {
        let socket = socket();
        sockopt::set_tcp_user_timeout(&socket, 77_000).unwrap();
        sockopt::set_tcp_keepidle(&socket, Duration::from_secs(33)).unwrap();
        assert!(!set(socket.as_raw_fd(), Duration::from_secs(10), false));
        assert_eq!(sockopt::tcp_user_timeout(&socket).unwrap(), 77_000);
        assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), Duration::from_secs(33));
    }

    #[test]
    fn a_keepalive_that_was_switched_off_stays_off() {
        let socket = socket();
        assert!(set(socket.as_raw_fd(), Duration::from_secs(10), true));
        assert!(!sockopt::socket_keepalive(&socket).unwrap());
        assert_eq!(sockopt::tcp_user_timeout(&socket).unwrap(), 10_000);
    }

    #[test]
    fn no_deadline_is_set_on_what_is_not_tcp() {
        let (ours, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(!set(ours.as_raw_fd(), Duration::from_secs(1), false));
        assert!(!set(-1, Duration::from_secs(1), false));
    }
}
