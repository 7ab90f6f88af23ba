//! A wake-up that any thread and Ruby's unblock function may give.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::{read, write};
use rustix::pipe::{pipe_with, PipeFlags};

/// A pipe to oneself: writing to it is allowed in a signal handler, and waiting for it takes a deadline.
#[derive(Debug)]
pub struct Signal {
    reader: OwnedFd,
    writer: OwnedFd,
    /// The pipe's inode, which both ends share.
    inode: AtomicU64,
}

impl Signal {
    /// Opens the pipe.
    ///
    /// # Errors
    ///
    /// Where the process may not open two more descriptors.
    pub fn new() -> std::io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let inode = AtomicU64::new(rustix::fs::fstat(&reader)?.st_ino);
        Ok(Signal { reader, writer, inode })
    }

    /// In a forked child: the same descriptors, with a pipe of its own behind them. The old one is the parent's.
    ///
    /// Returns whether that was done. A child may have closed all that it inherited, and have something else under these
    /// numbers by now: then nothing is, and this signal may not be used, nor dropped.
    ///
    /// # Errors
    ///
    /// Where the process may not open two more descriptors.
    pub fn renew(&self) -> std::io::Result<bool> {
        let inherited = self.inode.load(Ordering::Relaxed);
        let there = |end: &OwnedFd| rustix::fs::fstat(end).is_ok_and(|stat| stat.st_ino == inherited);
        if !there(&self.reader) || !there(&self.writer) {
            return Ok(false);
        }
        let own = Signal::new()?;
        for (new, old) in [(&own.reader, &self.reader), (&own.writer, &self.writer)] {
            // SAFETY: the number leads to `self`'s own pipe, as was just seen, and `self` goes on owning it: this second
            // value of it is never dropped.
            let mut old = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(old.as_raw_fd()) });
            replace(new, &mut old)?;
        }
        self.inode.store(own.inode.load(Ordering::Relaxed), Ordering::Relaxed);
        Ok(true)
    }

    /// Wakes whoever waits, now or next. Async-signal-safe: one system call, no lock, no allocation.
    pub fn post(&self) {
        // A full pipe is a wake-up already given.
        let _ = write(&self.writer, &[1]);
    }

    /// The descriptor that becomes readable with a wake-up.
    pub fn reader(&self) -> i32 {
        self.reader.as_raw_fd()
    }

    /// Waits for a wake-up, at most this long; an interrupted system call counts as one.
    pub fn wait(&self, limit: Duration) {
        let limit = Timespec::try_from(limit).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let _ = poll(&mut [PollFd::new(&self.reader.as_fd(), PollFlags::IN)], Some(&limit));
        self.clear();
    }

    /// Takes the wake-ups that were given.
    pub fn clear(&self) {
        let mut taken = [0_u8; 64];
        while read(&self.reader, &mut taken).is_ok_and(|count| count == taken.len()) {}
    }
}

#[cfg(target_os = "linux")]
fn replace(new: &OwnedFd, old: &mut OwnedFd) -> rustix::io::Result<()> {
    rustix::io::dup3(new, old, rustix::io::DupFlags::CLOEXEC)
}

#[cfg(not(target_os = "linux"))]
fn replace(new: &OwnedFd, old: &mut OwnedFd) -> rustix::io::Result<()> {
    rustix::io::dup2(new, old)?;
    rustix::io::fcntl_setfd(old, rustix::io::FdFlags::CLOEXEC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_lead_elsewhere_by_now_are_left_alone() {
        let signal = Signal::new().unwrap();
        assert!(signal.renew().unwrap());
        assert!(signal.renew().unwrap(), "its new pipe is its own");
        // As if something else were there.
        let inode = signal.inode.swap(0, Ordering::Relaxed);
        assert!(!signal.renew().unwrap());
        assert_eq!(rustix::fs::fstat(&signal.reader).unwrap().st_ino, inode);
    }
}
