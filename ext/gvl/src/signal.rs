//! A wake-up that any thread and Ruby's unblock function may give.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::{read, write};
use rustix::pipe::{pipe_with, PipeFlags};

/// A pipe to oneself: writing to it is allowed in a signal handler, and waiting for it takes a deadline.
#[derive(Debug)]
pub struct Signal {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Signal {
    /// Opens the pipe.
    ///
    /// # Errors
    ///
    /// Where the process may not open two more descriptors.
    pub fn new() -> std::io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Signal { reader, writer })
    }

    /// In a forked child: the same descriptors, with a pipe of its own behind them. The old one is the parent's.
    ///
    /// # Errors
    ///
    /// Where the process may not open two more descriptors.
    pub fn renew(&self) -> std::io::Result<()> {
        let own = Signal::new()?;
        for (new, old) in [(&own.reader, &self.reader), (&own.writer, &self.writer)] {
            // SAFETY: `self` owns the number and goes on doing so: this second value of it is never dropped.
            let mut old = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(old.as_raw_fd()) });
            replace(new, &mut old)?;
        }
        Ok(())
    }

    /// Wakes whoever waits, now or next. Async-signal-safe: one system call, no lock, no allocation.
    pub fn post(&self) {
        // A full pipe is a wake-up already given.
        let _ = write(&self.writer, &[1]);
    }

    /// Waits for a wake-up, at most this long; an interrupted system call counts as one.
    pub fn wait(&self, limit: Duration) {
        let limit = Timespec::try_from(limit).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let _ = poll(&mut [PollFd::new(&self.reader.as_fd(), PollFlags::IN)], Some(&limit));
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
