//! What a host's answers tell, beyond that it is there.

use std::sync::Arc;
use std::time::Instant;

use super::super::Process;
use crate::backend::Facts;
use crate::host::News;
use crate::lock::lock;
use crate::observed::Condemned;

impl Process {
    /// Takes what a host said of itself, where it said anything.
    pub(super) fn learn(&'static self, host: &Arc<str>, facts: Option<Facts>) {
        let Some(facts) = facts else { return };
        let now = Instant::now();
        let news = {
            let mut hosts = lock(&self.monitors.hosts);
            let Some(known) = hosts.get_mut(host) else { return };
            known.acquaintance.learn(&facts, now)
        };
        for news in news {
            match news {
                News::Restarted(at) => self.restarted(host, at),
                News::Demoted => self.monitor_saw_demotion(host, now),
            }
        }
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
                self.sever(&lease, "its server was started again since");
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
