//! Database servers: their epochs and their incidents.

mod facts;
mod incident;
mod vigil;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::fault::Fault;
use crate::lock::lock;
use crate::trip;

pub use facts::{Acquaintance, News};
pub use incident::Incident;
pub use vigil::{Check, Settings, Turn, Vigil, Wanted};

/// Hang-ups within this time belong together.
const BURST: Duration = Duration::from_millis(100);
/// One or two backends that end are no restart.
const BURST_SOCKETS: usize = 3;
/// A socket from before an incident proves only after this time of peace that the server is back: while a server shuts
/// down, some of its connections still answer for a moment.
const PEACE: Duration = Duration::from_secs(1);
/// For so long the last fault of an open incident speaks against a host that nobody uses.
const MEMORY: Duration = Duration::from_secs(30);
/// Hosts without an incident are forgotten beyond this number.
const LIMIT: usize = 256;

/// All hosts of this process.
#[derive(Debug, Default)]
pub struct Hosts {
    by_name: Mutex<FxHashMap<Arc<str>, Host>>,
    open_incidents: AtomicUsize,
}

#[derive(Debug, Default)]
struct Host {
    epoch: u64,
    raised_at: Option<Instant>,
    incident: Option<Incident>,
    refused_write_at: Option<Instant>,
    hang_ups: Vec<Instant>,
}

impl Hosts {
    /// Counts a fault on a host. Returns whether it opened an incident.
    pub fn fault(&self, name: &Arc<str>, fault: Fault, now: Instant) -> bool {
        let mut hosts = self.by_name();
        forget_some(&mut hosts);
        let host = hosts.entry(name.clone()).or_default();
        match &mut host.incident {
            Some(incident) => {
                incident.fault_again(now);
                false
            }
            None => {
                host.incident = Some(Incident::new(fault, now));
                self.open_incidents.fetch_add(1, Ordering::SeqCst);
                true
            }
        }
    }

    /// Notes a hang-up. Returns whether so many came together that the host itself must have failed.
    pub fn hang_up(&self, name: &Arc<str>, sockets: usize, now: Instant) -> bool {
        let mut hosts = self.by_name();
        forget_some(&mut hosts);
        let host = hosts.entry(name.clone()).or_default();
        host.hang_ups.retain(|at| now.duration_since(*at) <= BURST);
        host.hang_ups.push(now);
        let together = host.hang_ups.len();
        together >= BURST_SOCKETS && together * 2 >= sockets
    }

    /// Raises the epoch: the server behind the address is another than before.
    pub fn raise_epoch(&self, name: &Arc<str>, now: Instant) -> u64 {
        let mut hosts = self.by_name();
        let host = hosts.entry(name.clone()).or_default();
        host.epoch += 1;
        host.raised_at = Some(now);
        host.epoch
    }

    /// The epoch of a host, and since when it is.
    pub fn epoch(&self, name: &str) -> (u64, Option<Instant>) {
        self.by_name()
            .get(name)
            .map_or((0, None), |host| (host.epoch, host.raised_at))
    }

    /// Notes that a host has refused a write.
    pub fn refused_write(&self, name: &Arc<str>, now: Instant) {
        self.by_name().entry(name.clone()).or_default().refused_write_at = Some(now);
    }

    /// Notes that a host takes writes.
    pub fn takes_writes(&self, name: &str) {
        if let Some(host) = self.by_name().get_mut(name) {
            host.refused_write_at = None;
        }
    }

    /// Whether a host has refused a write of late, and nobody has found since that it takes them.
    pub fn refuses_writes(&self, name: &str, now: Instant) -> bool {
        let refused_at = self.by_name().get(name).and_then(|host| host.refused_write_at);
        refused_at.is_some_and(|refused| now.duration_since(refused) < MEMORY)
    }

    /// Takes a connection that came back alive as evidence that its host works. Returns the incident this closes.
    ///
    /// `opened_after` is a moment before which the connection's socket cannot have been opened; `leased_at` is the
    /// begin of the lease that ended.
    pub fn evidence(
        &self,
        name: &str,
        opened_after: Option<Instant>,
        leased_at: Instant,
        now: Instant,
    ) -> Option<Incident> {
        if !self.any_incident() {
            return None;
        }
        let mut hosts = self.by_name();
        let host = hosts.get_mut(name)?;
        let proves = host.incident.as_ref().is_some_and(|incident| {
            let new_socket = opened_after.is_some_and(|opened| opened >= incident.opened_at);
            new_socket || leased_at >= incident.last_fault_at + PEACE
        });
        if !proves {
            return None;
        }
        self.open_incidents.fetch_sub(1, Ordering::SeqCst);
        // Counted once: what has been explained by this incident is no part of the next.
        host.hang_ups.clear();
        let mut incident = host.incident.take()?;
        incident.closed_at = Some(now);
        Some(incident)
    }

    /// A host has turned out to be another name for one: what is known under the first name goes with it.
    pub fn moved(&self, from: &str, to: &Arc<str>) {
        if from == &**to || !self.any_incident() {
            return;
        }
        let mut hosts = self.by_name();
        let Some(incident) = hosts.get_mut(from).and_then(|host| host.incident.take()) else {
            return;
        };
        let host = hosts.entry(to.clone()).or_default();
        if host.incident.is_some() {
            self.open_incidents.fetch_sub(1, Ordering::SeqCst);
        } else {
            host.incident = Some(incident);
        }
    }

    /// Ends incidents on hosts that nobody uses any more: no connection to one is going to come back and prove anything.
    /// Returns them with their hosts.
    pub fn abandoned(&self, is_used: impl Fn(&str) -> bool, now: Instant) -> Vec<(Arc<str>, Incident)> {
        let mut hosts = self.by_name();
        let mut ended = Vec::new();
        for (name, host) in &mut *hosts {
            let at_peace = |incident: &mut Incident| now >= incident.last_fault_at + PEACE;
            if let Some(mut incident) = host.incident.take_if(|incident| at_peace(incident) && !is_used(name)) {
                self.open_incidents.fetch_sub(1, Ordering::SeqCst);
                incident.closed_at = Some(now);
                ended.push((name.clone(), incident));
            }
        }
        ended
    }

    /// Whether an incident is open anywhere; costs no lock.
    pub fn any_incident(&self) -> bool {
        self.open_incidents.load(Ordering::SeqCst) > 0
    }

    /// Whether an incident on a host has had a fault of late. Only work can tell that a server is back, and whoever is
    /// kept from working because of an old fault would never find out.
    pub fn failing(&self, name: &str, now: Instant) -> bool {
        let recent = |incident: &Incident| now.duration_since(incident.last_fault_at) < MEMORY;
        let hosts = self.by_name();
        hosts
            .get(name)
            .and_then(|host| host.incident.as_ref())
            .is_some_and(recent)
    }

    /// Whether an incident is open on a host.
    pub fn in_incident(&self, name: &str) -> bool {
        self.any_incident() && self.by_name().get(name).is_some_and(|host| host.incident.is_some())
    }

    fn by_name(&self) -> MutexGuard<'_, FxHashMap<Arc<str>, Host>> {
        let hosts = lock(&self.by_name);
        trip::here("hosts");
        hosts
    }
}

fn forget_some(hosts: &mut FxHashMap<Arc<str>, Host>) {
    if hosts.len() > LIMIT {
        hosts.retain(|_, host| host.incident.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Arc<str> {
        Arc::from("127.0.0.1:5432")
    }

    #[test]
    fn an_incident_opens_once_and_closes_with_a_socket_opened_after_it() {
        let (hosts, start) = (Hosts::default(), Instant::now());
        assert!(hosts.fault(&host(), Fault::Dead, start));
        assert!(!hosts.fault(&host(), Fault::Dead, start + Duration::from_millis(5)));
        assert!(hosts.in_incident(&host()));

        let before = start - Duration::from_secs(9);
        let soon = start + Duration::from_millis(20);
        assert!(hosts.evidence(&host(), Some(before), before, soon).is_none());
        let closed = hosts.evidence(&host(), Some(soon), soon, soon).unwrap();
        assert_eq!((closed.faults, closed.seconds()), (2, 0.02));
        assert!(!hosts.any_incident());
        assert!(hosts.evidence(&host(), Some(soon), soon, soon).is_none());
    }

    #[test]
    fn a_fault_speaks_against_a_host_that_nobody_uses_for_a_while_only() {
        let (hosts, start) = (Hosts::default(), Instant::now());
        hosts.fault(&host(), Fault::Dead, start);
        assert!(hosts.failing(&host(), start + Duration::from_secs(29)));
        assert!(!hosts.failing(&host(), start + Duration::from_secs(31)));
        assert!(hosts.in_incident(&host()));
    }

    #[test]
    fn a_refused_write_is_remembered_for_a_while_or_until_one_is_taken() {
        let (hosts, start) = (Hosts::default(), Instant::now());
        assert!(!hosts.refuses_writes(&host(), start));
        hosts.refused_write(&host(), start);
        assert!(hosts.refuses_writes(&host(), start + Duration::from_secs(29)));
        assert!(!hosts.refuses_writes(&host(), start + Duration::from_secs(31)));
        hosts.takes_writes(&host());
        assert!(!hosts.refuses_writes(&host(), start));
    }

    #[test]
    fn an_old_socket_closes_an_incident_only_after_a_second_of_peace() {
        let (hosts, start) = (Hosts::default(), Instant::now());
        hosts.fault(&host(), Fault::Dead, start);
        let soon = start + Duration::from_millis(900);
        assert!(hosts.evidence(&host(), None, soon, soon).is_none());
        let later = start + Duration::from_millis(1_001);
        assert!(hosts.evidence(&host(), None, later, later).is_some());
    }

    #[test]
    fn an_incident_goes_with_its_host_when_the_host_gets_its_real_name() {
        let (hosts, start) = (Hosts::default(), Instant::now());
        let configured: Arc<str> = Arc::from("localhost:5432");
        hosts.fault(&configured, Fault::Unreachable, start);
        hosts.moved(&configured, &host());
        assert!(!hosts.in_incident(&configured));
        hosts.fault(&configured, Fault::Unreachable, start);
        hosts.moved(&configured, &host());
        let soon = start + Duration::from_millis(1);
        assert!(hosts.evidence(&host(), Some(soon), soon, soon).is_some());
        assert!(!hosts.any_incident());
    }

    #[test]
    fn an_incident_on_a_host_that_nobody_uses_any_more_ends_after_a_second_of_peace() {
        let (hosts, start) = (Hosts::default(), Instant::now());
        hosts.fault(&host(), Fault::Dead, start);
        let soon = start + Duration::from_millis(900);
        assert!(hosts.abandoned(|_| false, soon).is_empty());
        let later = start + Duration::from_secs(2);
        assert!(hosts.abandoned(|name| *name == *host(), later).is_empty());
        let ended = hosts.abandoned(|_| false, later);
        assert_eq!((&ended[0].0, ended[0].1.seconds()), (&host(), 2.0));
        assert!(!hosts.any_incident());
    }

    #[test]
    fn three_hang_ups_together_and_half_of_all_are_a_failed_host() {
        let (hosts, start) = (Hosts::default(), Instant::now());
        assert!(!hosts.hang_up(&host(), 4, start));
        assert!(!hosts.hang_up(&host(), 4, start));
        assert!(hosts.hang_up(&host(), 4, start));
    }

    #[test]
    fn hang_ups_of_an_incident_that_has_ended_count_no_more() {
        let (hosts, start) = (Hosts::default(), Instant::now());
        let last = (0..3).map(|_| hosts.hang_up(&host(), 4, start)).last();
        assert_eq!(last, Some(true));
        hosts.fault(&host(), Fault::Dead, start);
        let soon = start + Duration::from_millis(10);
        assert!(hosts.evidence(&host(), Some(soon), soon, soon).is_some());
        assert!(!hosts.hang_up(&host(), 4, soon));
    }

    #[test]
    fn three_of_twenty_or_three_spread_out_are_not() {
        let (hosts, start) = (Hosts::default(), Instant::now());
        for _ in 0..9 {
            assert!(!hosts.hang_up(&host(), 20, start));
        }
        let other: Arc<str> = Arc::from("other");
        for step in 0..9 {
            assert!(!hosts.hang_up(&other, 4, start + BURST * step + Duration::from_millis(u64::from(step))));
        }
    }

    #[test]
    fn one_hosts_trouble_is_not_anothers() {
        let (hosts, start) = (Hosts::default(), Instant::now());
        hosts.fault(&host(), Fault::Dead, start);
        assert!(!hosts.in_incident("other"));
        assert!(hosts.evidence("other", Some(start), start, start).is_none());
        assert_eq!(hosts.raise_epoch(&host(), start), 1);
        assert_eq!(hosts.epoch("other"), (0, None));
    }

    #[test]
    fn memory_is_bounded_and_no_open_incident_is_forgotten() {
        let (hosts, start) = (Hosts::default(), Instant::now());
        hosts.fault(&host(), Fault::Dead, start);
        for number in 0..LIMIT * 3 {
            hosts.hang_up(&Arc::from(number.to_string()), 1, start);
        }
        assert!(lock(&hosts.by_name).len() <= LIMIT + 1);
        assert!(hosts.in_incident(&host()));
    }
}
