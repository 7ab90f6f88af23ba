//! What belongs to one process: the mirror, the hosts, the watch, the events and the background thread.
//!
//! A fork leaves all of it behind. The child never drops what it inherited, for a runtime without its threads cannot
//! be dropped and a lock may be held for ever: it leaks the old value and starts with a new one.

mod awaited;
#[cfg(target_os = "linux")]
mod background;
mod leases;
mod monitor;
mod native;
mod overdue;
mod repair;
mod taken;
#[cfg(test)]
mod tests;
mod watching;

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, Weak};

use once_cell::race::OnceRef;
use once_cell::sync::OnceCell;
use rustc_hash::FxHashMap;
use tokio::runtime::Runtime;

use crate::event::{Event, Notice, Queue};
use crate::host::Hosts;
use crate::lock::lock;
use crate::observed::Mirror;
use crate::socket;
use crate::trip;
use crate::watch::{runtime, Watch};

use monitor::Monitors;

pub use native::{Found, NativePool, Statement, Waker, Work};
pub use repair::Repair;

use overdue::Threshold;
use taken::Taken;

/// Everything of this process.
pub struct Process {
    mirror: Mutex<Mirror>,
    hosts: Hosts,
    /// What is on its way to Ruby.
    pub events: Queue,
    watch: OnceCell<Option<Watch>>,
    collecting: Mutex<Taken>,
    runtime: OnceCell<Option<Runtime>>,
    /// The descriptors that came with the runtime, and at the same time.
    opened: OnceCell<Vec<RawFd>>,
    watch_wanted: AtomicBool,
    observing: AtomicBool,
    natives: Mutex<FxHashMap<u64, Weak<NativePool>>>,
    unwatched: AtomicU64,
    monitors: Monitors,
    threshold: Threshold,
    successor: OnceRef<'static, Process>,
}

/// The first process that loaded this library. A forked child hangs its own value on the end of the chain, in its own
/// copy of the memory: the chain is as long as forks are nested, not as there are forks. No lock guards it, because an
/// inherited lock may be locked for ever.
static FIRST: OnceRef<'static, Process> = OnceRef::new();

/// What belongs to this process; made at the first call.
///
/// Costs a load a link. In a forked child [`forked`] has to be called before this is.
pub fn current() -> &'static Process {
    let mut process = FIRST.get_or_init(|| Process::leaked(None));
    while let Some(successor) = process.successor.get() {
        process = successor;
    }
    process
}

/// Starts clean in a forked child; to be called once there, before anything else.
///
/// Takes no lock that it inherited: whoever held it is not here to give it back.
pub fn forked() -> &'static Process {
    let inherited = current();
    let opened = inherited.opened.get().map_or(&[][..], Vec::as_slice);
    runtime::part_from_sockets(opened);
    // Leaked with the rest, these descriptors would pile up where children fork children.
    match inherited.watch.get() {
        Some(Some(watch)) => watch.abandon(opened),
        _ => runtime::abandon(opened),
    }
    inherited.successor.get_or_init(|| Process::leaked(Some(inherited)))
}

impl Process {
    fn leaked(inherited: Option<&Process>) -> &'static Process {
        let watch_wanted = inherited.is_none_or(|process| process.watch_wanted.load(Ordering::Relaxed));
        Box::leak(Box::new(Process {
            mirror: Mutex::default(),
            hosts: Hosts::default(),
            events: Queue::default(),
            watch: OnceCell::new(),
            collecting: Mutex::default(),
            runtime: OnceCell::new(),
            opened: OnceCell::new(),
            watch_wanted: AtomicBool::new(watch_wanted),
            observing: AtomicBool::new(inherited.is_some_and(Process::observing)),
            natives: Mutex::default(),
            unwatched: AtomicU64::new(0),
            monitors: Monitors::like(inherited.map(|process| &process.monitors)),
            threshold: inherited.map_or_else(Threshold::default, |process| process.threshold.inherited()),
            successor: OnceRef::new(),
        }))
    }

    /// From now on the mirror knows of every lease. A forked child goes on observing, from an empty mirror.
    pub fn observe(&self) {
        socket::expect_forks();
        self.observing.store(true, Ordering::Release);
    }

    /// Whether the mirror knows of every lease; before that nothing can be said of anybody.
    pub fn observing(&self) -> bool {
        self.observing.load(Ordering::Acquire)
    }

    /// Reads or changes the mirror. Nothing that waits may be done inside.
    pub fn mirror<T>(&self, body: impl FnOnce(&mut Mirror) -> T) -> T {
        let mut mirror = lock(&self.mirror);
        trip::here("locked");
        let answer = body(&mut mirror);
        trip::here("changed");
        answer
    }

    /// The hosts of this process.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Tells subscribers and the log what happened; the owner's job is added here.
    pub fn notify(&self, mut notice: Notice) {
        if let (None, Some(owner)) = (&notice.job, notice.owner) {
            notice.job = self.mirror(|mirror| mirror.job_of(owner));
        }
        self.events.push(Event::Notice(Box::new(notice)));
    }
}
