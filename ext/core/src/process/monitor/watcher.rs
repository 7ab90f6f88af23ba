//! One host's monitor, from the first long lease to the last.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep_until, timeout};

use super::super::Process;
use super::question::{Asked, Line, Times};
use crate::event::Notice;
use crate::host::{Check, Settings, Turn, Vigil};
use crate::lock::lock;
use crate::observed::Long;

/// A silent host that nobody waits for is asked at this pace in the end.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const GOODBYE: Duration = Duration::from_secs(1);

impl Process {
    /// Asks a host as long as a lease of it is long, or it is silent. Returns whether it could be asked.
    pub(super) async fn keep_vigil(&'static self, host: &Arc<str>, mut settings: Settings) -> bool {
        crate::trip::here("vigil");
        let mut vigil = Vigil::default();
        let mut line: Option<Line> = None;
        let mut due = Instant::now();
        let mut pause = settings.interval;
        let mut listened_until = due;
        loop {
            sleep_until(due.into()).await;
            // Looked at now: the lease may have ended meanwhile, and a host is not asked for nobody.
            settings = match self.monitors.wanted.get() {
                Some(settings) => settings,
                None => break,
            };
            let Some((leases, next)) = self.still_needed(host, &vigil, &settings) else {
                break;
            };
            let open = match line.take() {
                Some(line) => line,
                None => match self.way_to(host, &leases) {
                    Ok((pool, backend)) => Line::new(self, host.clone(), pool, backend),
                    Err(reason) => {
                        self.cannot_watch_over(host, &reason);
                        return false;
                    }
                },
            };
            let open = line.insert(open);
            let began = Instant::now();
            // A host that is silent may be asked seldom, and be back since the last check: what it has said counts.
            let since = if vigil.is_silent() { listened_until } else { began };
            let times = Times { due, began, since };
            let asked = open.ask(&times, &settings, vigil.is_silent()).await;
            listened_until = Instant::now();
            self.follow_turn(host, vigil.checked(asked.check(), settings.failures), since, &settings);
            match asked {
                Asked::Refused(failure) => {
                    self.refused(host, open.pool(), &failure.to_string());
                    line = None;
                }
                Asked::Told(facts) => {
                    self.can_watch_over(host);
                    if self.learn(host, &facts, open.session(), began) {
                        open.hang_up();
                    }
                }
                Asked::Check(_) => {}
            }
            // Nobody waits for a host that is silent already: it is asked less and less often.
            let alone = vigil.is_silent() && leases.is_empty();
            pause = match alone {
                true => (pause * 2).min(LONGEST_PAUSE),
                false => settings.interval,
            };
            due += pause;
            // ... until somebody has waited for it for long.
            if let Some(next) = next.filter(|_| alone) {
                due = due.min((next + settings.after).max(began + settings.interval));
            }
            due = due.max(Instant::now());
        }
        if let Some(line) = line {
            let _ = timeout(GOODBYE, line.close()).await;
        }
        true
    }

    /// The long leases of a host that is to be asked, and the begin of the oldest that is none, of whatever host; nothing
    /// where it need not be asked any more.
    fn still_needed(&self, host: &str, vigil: &Vigil, settings: &Settings) -> Option<(Vec<Long>, Option<Instant>)> {
        let before = Instant::now().checked_sub(settings.after)?;
        let (mut long, next) = self.long_leases(before);
        long.retain(|lease| *lease.host == *host);
        let used = || self.mirror(|mirror| mirror.leads_to(host));
        (!long.is_empty() || (vigil.is_silent() && used())).then_some((long, next))
    }

    fn follow_turn(&'static self, host: &Arc<str>, turn: Turn, quiet_since: Instant, settings: &Settings) {
        match turn {
            Turn::Go => {}
            Turn::Silent { first } => self.silent(host, first, quiet_since, settings),
            Turn::Up => self.notify(Notice {
                name: "host.up".to_owned(),
                host: Some(host.to_string()),
                ..Notice::default()
            }),
        }
    }

    fn refused(&self, host: &Arc<str>, pool: u64, reason: &str) {
        if let Some(known) = lock(&self.monitors.hosts).get_mut(host) {
            let reason = format!("its monitor is refused: {reason}");
            known.refused.insert(pool, (Instant::now(), reason));
        }
    }

    /// Says once that a silent server would not be noticed.
    fn cannot_watch_over(&self, host: &Arc<str>, reason: &str) {
        let told = lock(&self.monitors.hosts)
            .get_mut(host)
            .is_some_and(|known| std::mem::replace(&mut known.told, true));
        if !told {
            self.notify(Notice {
                name: "host.unmonitored".to_owned(),
                host: Some(host.to_string()),
                reason: Some(reason.to_owned()),
                ..Notice::default()
            });
        }
    }

    fn can_watch_over(&self, host: &Arc<str>) {
        if let Some(known) = lock(&self.monitors.hosts).get_mut(host) {
            known.told = false;
        }
    }
}

impl Asked {
    /// Whether the host was heard.
    fn check(&self) -> Check {
        match self {
            Asked::Check(check) => *check,
            Asked::Told(_) | Asked::Refused(_) => Check::Heard,
        }
    }
}
