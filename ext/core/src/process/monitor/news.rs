//! What a host's answers tell, beyond that it is there.

use std::sync::Arc;
use std::time::Instant;

use super::super::Process;
use crate::backend::Facts;
use crate::host::News;
use crate::lock::lock;
use crate::observed::Condemned;

impl Process {
    /// Takes what a host said of itself over a log-in. Returns whether it is to be asked over another next.
    /// `asked_at` is a moment before the question was sent.
    pub(super) fn learn(&'static self, host: &Arc<str>, facts: &Facts, session: u64, asked_at: Instant) -> bool {
        let (news, again) = match lock(&self.monitors.hosts).get_mut(host) {
            Some(known) => known.acquaintance.learn(facts, session, asked_at),
            None => return false,
        };
        for news in news {
            match news {
                News::Restarted(at) => self.restarted(host, at),
                News::Demoted => self.monitor_saw_demotion(host, Instant::now()),
            }
        }
        again
    }

    /// What was opened before its server was started leads nowhere, and nobody will ever say so.
    fn restarted(&'static self, host: &Arc<str>, at: Instant) {
        if self.reports_only() {
            return;
        }
        let idle = self.mirror(|mirror| mirror.condemn_before(host, at, Condemned::OldEpoch));
        idle.into_iter().for_each(|connection| self.evict(connection));
        let (long, _) = self.long_leases(at);
        for lease in long.into_iter().filter(|lease| lease.host == *host) {
            if self.mirror(|mirror| mirror.is_from_before(lease.connection, at)) {
                self.sever(&lease, None, "its server was started again since");
            }
        }
    }

    fn monitor_saw_demotion(&self, host: &Arc<str>, now: Instant) {
        // A pool that is a replica's by configuration expects nothing else, and where only reports are wanted the writes
        // that fail will tell.
        if self.reports_only() {
            return;
        }
        if let Some(pool) = self.mirror(|mirror| mirror.writers_of(host)) {
            self.demoted(host, pool, None, now);
        }
    }
}
