//! Who looks for long leases: one task, which sleeps while there is none that could become one.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;
use tokio::time::sleep;

use super::super::Process;
use super::HOSTS;
use crate::event::Notice;
use crate::host::Settings;
use crate::lock::lock;
use crate::observed::Long;
use crate::panic::words;
use crate::socket;

/// Where a round has panicked the next one waits for so long.
const AFTER_PANIC: Duration = Duration::from_secs(1);

impl Process {
    pub(super) fn begin_rounds(&'static self) {
        if self.monitors.begun.load(Ordering::Relaxed) || self.monitors.wanted.get().is_none() {
            return;
        }
        let Ok(runtime) = self.runtime() else { return };
        if self.monitors.begun.swap(true, Ordering::SeqCst) {
            return;
        }
        runtime.spawn(async move {
            loop {
                // In a task of its own: a panic must not end the rounds, for nobody would begin them again.
                match tokio::spawn(self.round()).await {
                    Ok(Some(pause)) => {
                        tokio::select! {
                            () = sleep(pause) => {}
                            () = self.monitors.wake.notified() => {}
                        }
                    }
                    Ok(None) => self.monitors.wake.notified().await,
                    Err(panic) => {
                        self.tell_of_panic(panic);
                        sleep(AFTER_PANIC).await;
                    }
                }
            }
        });
    }

    /// Looks at all leases once. Returns when to do so again; none: when somebody takes a lease.
    async fn round(&'static self) -> Option<Duration> {
        crate::trip::here("round");
        let settings = self.monitors.wanted.get()?;
        self.monitors.asleep.store(true, Ordering::SeqCst);
        let now = Instant::now();
        let before = now.checked_sub(settings.after)?;
        let (long, next) = self.long_leases(before);
        self.look_after(&long, &settings);
        if next.is_none() && long.is_empty() {
            return None;
        }
        self.monitors.asleep.store(false, Ordering::SeqCst);
        let pause = |next: Instant| (next + settings.after).saturating_duration_since(now);
        Some(next.map_or(settings.after, pause))
    }

    fn look_after(&'static self, long: &[Long], settings: &Settings) {
        let mut hosts: FxHashSet<Arc<str>> = FxHashSet::default();
        for lease in long {
            let known = lease
                .socket
                .filter(|(descriptor, identity)| socket::identity(*descriptor) == Some(*identity));
            if known.is_some() {
                hosts.insert(lease.host.clone());
            } else if self.mirror(|mirror| mirror.ask(lease.connection, settings.after)) {
                self.ask_for_socket(lease.connection);
            }
        }
        for host in hosts {
            self.watch_over(host, settings);
        }
    }

    fn watch_over(&'static self, host: Arc<str>, settings: &Settings) {
        {
            let mut hosts = lock(&self.monitors.hosts);
            if hosts.len() > HOSTS {
                hosts.retain(|_, known| known.watched);
            }
            let known = hosts.entry(host.clone()).or_default();
            if std::mem::replace(&mut known.watched, true) {
                return;
            }
        }
        let watched = Watched { process: self, host };
        let settings = *settings;
        tokio::spawn(async move {
            let (process, host) = (watched.process, watched.host.clone());
            let vigil = tokio::spawn(async move { process.keep_vigil(&host, settings).await });
            let ended = vigil.await;
            drop(watched);
            match ended {
                // A lease that has become long meanwhile found the place taken.
                Ok(true) => process.monitors.wake.notify_one(),
                // Whoever looked again at once would find no other way.
                Ok(false) => {}
                Err(panic) => process.tell_of_panic(panic),
            }
        });
    }

    fn tell_of_panic(&self, ended: tokio::task::JoinError) {
        let Ok(panic) = ended.try_into_panic() else { return };
        self.notify(Notice {
            name: "error.rescued".to_owned(),
            reason: Some(format!("watching over a host: {}", words(panic.as_ref()))),
            ..Notice::default()
        });
    }
}

/// Gives a host's place up, however its monitor ends: the next round begins another.
struct Watched {
    process: &'static Process,
    host: Arc<str>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(known) = lock(&self.process.monitors.hosts).get_mut(&self.host) {
            known.watched = false;
        }
    }
}
