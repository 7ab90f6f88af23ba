//! What the kernel tells of a connection over TCP without a word to its peer.

use std::os::fd::RawFd;
use std::time::Duration;

/// How long ago a peer was last heard, by the data that has arrived from it; `None` where none ever has, or nobody knows.
///
/// What a kernel acknowledges by itself is no data: a process that is stopped is not heard.
#[cfg(target_os = "linux")]
pub fn heard(descriptor: RawFd) -> Option<Duration> {
    /// Where the kernel's `tcp_info` has the milliseconds since data last arrived, and how many bytes have arrived.
    const LAST_DATA: usize = 52;
    const RECEIVED: usize = 128;
    const SIZE: usize = RECEIVED + 8;

    let mut told = [0_u8; SIZE];
    let mut size = libc::socklen_t::try_from(SIZE).ok()?;
    super::borrow(descriptor)?;
    // SAFETY: the kernel writes at most `size` bytes into a buffer that has as many. A number that is not open, or no
    // socket over TCP, is answered with an error.
    let answer = unsafe {
        libc::getsockopt(
            descriptor,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            told.as_mut_ptr().cast(),
            &mut size,
        )
    };
    // A kernel from before 4.1 tells less.
    if answer != 0 || usize::try_from(size).ok()? < SIZE {
        return None;
    }
    let received = u64::from_ne_bytes(told[RECEIVED..].try_into().ok()?);
    let milliseconds = u32::from_ne_bytes(told[LAST_DATA..LAST_DATA + 4].try_into().ok()?);
    (received > 0).then(|| Duration::from_millis(u64::from(milliseconds)))
}

/// How long ago a peer was last heard: not known here.
#[cfg(not(target_os = "linux"))]
pub fn heard(_descriptor: RawFd) -> Option<Duration> {
    None
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    #[test]
    fn what_arrives_is_heard_and_what_the_kernel_acknowledges_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        ours.write_all(b"anybody there?").unwrap();
        peer.read_exact(&mut [0; 14]).unwrap();
        assert_eq!(heard(ours.as_raw_fd()), None);

        peer.write_all(b"yes").unwrap();
        ours.read_exact(&mut [0; 3]).unwrap();
        assert!(heard(ours.as_raw_fd()).unwrap() < Duration::from_secs(5));
    }

    #[test]
    fn nothing_is_known_of_what_is_not_tcp() {
        let (ours, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(heard(ours.as_raw_fd()), None);
        assert_eq!(heard(-1), None);
        assert_eq!(heard(999_999), None);
    }
}
