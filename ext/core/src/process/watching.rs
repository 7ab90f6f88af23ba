//! The watch at work: hang-ups become marks, evictions and incidents.

use std::os::fd::RawFd;
use std::panic::resume_unwind;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};

use super::Process;
use crate::error::Error;
use crate::event::{Event, Notice};
use crate::fault::Fault;
use crate::lock::lock;
use crate::observed::HungUp;
use crate::socket::Identity;
use crate::trip;
use crate::watch::runtime::pollers;
use crate::watch::Watch;

impl Process {
    /// Switches the watch on or off for sockets that are seen from now on.
    pub fn want_watch(&self, wanted: bool) {
        self.watch_wanted.store(wanted, Ordering::Relaxed);
    }

    /// How many sockets could not be watched, and are looked at when they are checked out instead.
    pub fn unwatched(&self) -> u64 {
        self.unwatched.load(Ordering::Relaxed)
    }

    /// Turns the hang-ups since the last look into marks, evictions and incidents. Never waits.
    ///
    /// Returns how many there were. Called by the background thread when there are some, and by every checkout: what has
    /// arrived in the kernel by then is known, however busy the other threads are.
    ///
    /// # Panics
    ///
    /// Where one of them does, after all have had their turn.
    pub fn collect(&self) -> usize {
        let Some(Some(watch)) = self.watch.get() else {
            return 0;
        };
        // Taken and marked in one: a checkout that finds nothing in the kernel must not overtake whoever has just taken
        // its hang-up and not marked it yet.
        let mut taken = lock(&self.collecting);
        taken.add(watch.hang_ups());
        let (count, failure) = taken.each(|identity, again| self.hung_up(identity, again));
        if let Some(panic) = failure {
            resume_unwind(panic);
        }
        count
    }

    fn hung_up(&self, identity: Identity, again: bool) {
        trip::here("hang-up");
        let Some(HungUp {
            connection,
            host,
            sockets,
            idle,
        }) = self.mirror(|mirror| mirror.hung_up(identity))
        else {
            // Marked by an attempt that failed behind that, and may have got no further.
            if let Some(connection) = self.mirror(|mirror| mirror.connection_over(identity)).filter(|_| again) {
                self.evict(connection);
            }
            return;
        };
        let now = Instant::now();
        if self.hosts.hang_up(&host, sockets, now) {
            self.open_incident(
                &host,
                Fault::Dead,
                "the watch saw its connections hang up together",
                now,
            );
        }
        if idle {
            self.evict(connection);
        }
    }

    /// Has an idle condemned connection leave its pool.
    pub(super) fn evict(&self, connection: u64) {
        match self.mirror(|mirror| mirror.native(connection)) {
            Some(pool) => {
                self.evict_native(pool);
            }
            None => self.events.push(Event::Evict(connection)),
        }
    }

    /// Counts a fault of a host. Returns whether an incident begins with it.
    pub(super) fn open_incident(&self, host: &std::sync::Arc<str>, fault: Fault, reason: &str, now: Instant) -> bool {
        let opens = self.hosts.fault(host, fault, now);
        if opens {
            self.notify(Notice {
                name: "incident.opened".to_owned(),
                host: Some(host.to_string()),
                reason: Some(format!("{}: {reason}", fault.as_str())),
                ..Notice::default()
            });
        }
        opens
    }

    /// Puts a socket into the watch. Returns whether it is there.
    pub(super) fn watch(&'static self, descriptor: RawFd, identity: Identity) -> bool {
        if !self.watch_wanted.load(Ordering::Relaxed) {
            return false;
        }
        let watch = self.watch.get_or_init(|| self.start_watch());
        let watched = watch.as_ref().is_some_and(|watch| watch.add(descriptor, identity));
        if !watched {
            self.unwatched.fetch_add(1, Ordering::Relaxed);
        }
        watched
    }

    fn start_watch(&'static self) -> Option<Watch> {
        match Watch::new().and_then(|watch| self.follow(&watch).map(|()| watch)) {
            Ok(watch) => Some(watch),
            Err(error) => {
                self.notify(Notice {
                    name: "error.rescued".to_owned(),
                    reason: Some(error.to_string()),
                    ..Notice::default()
                });
                None
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn follow(&'static self, _watch: &Watch) -> Result<(), Error> {
        Ok(())
    }

    pub(super) fn runtime(&self) -> Result<&Runtime, Error> {
        let mut failure = None;
        let runtime = self.runtime.get_or_init(|| {
            let before = pollers();
            let runtime = Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("poolkeeper-io")
                .enable_io()
                .enable_time()
                .build();
            let mut opened = pollers();
            opened.retain(|descriptor| !before.contains(descriptor));
            let _ = self.opened.set(opened);
            runtime.map_err(|error| failure = Some(error)).ok()
        });
        runtime.as_ref().ok_or_else(|| {
            Error::Runtime(failure.map_or_else(
                || "it could not be started before".to_owned(),
                |error| error.to_string(),
            ))
        })
    }
}
