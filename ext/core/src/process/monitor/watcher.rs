//! One host's monitor: it asks over a connection of its own, and listens on all of the host's.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, sleep_until, timeout};

use super::super::Process;
use crate::backend::{Backend, Facts, Failure, Kind, Session};
use crate::event::Notice;
use crate::host::{Check, Settings, Turn, Vigil};
use crate::lock::lock;
use crate::observed::Long;
use crate::socket;

/// A silent host that nobody waits for is asked at this pace in the end.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// While it listens a monitor looks so often whether it does.
const SLICES: u32 = 4;
const FOREVER: Duration = Duration::from_secs(86_400);
const GOODBYE: Duration = Duration::from_secs(1);
/// Errors with which MySQL lets nobody in by these credentials: 1044, 1045, 1049, 1129, 1130, 1698.
const REFUSED: [i64; 6] = [1044, 1045, 1049, 1129, 1130, 1698];

/// What asking came to.
enum Asked {
    Check(Check, Option<Facts>),
    /// By these credentials nobody is let in: whoever asked on would only fill the server's log.
    Refused(Failure),
}

impl Process {
    /// Asks a host as long as a lease of it is long, or it is silent.
    pub(super) async fn keep_vigil(&'static self, host: &Arc<str>, mut settings: Settings) {
        let mut vigil = Vigil::default();
        let mut session = None;
        let mut way: Option<(u64, Box<dyn Backend>)> = None;
        let mut due = Instant::now();
        let mut pause = settings.interval;
        while let Some(leases) = self.still_needed(host, &vigil, &settings) {
            if way.is_none() {
                let pools: Vec<u64> = leases.iter().map(|lease| lease.pool).collect();
                match self.way_to(host, &pools) {
                    Ok(found) => way = Some(found),
                    Err(reason) => return self.cannot_watch_over(host, &reason),
                }
            }
            let Some((pool, backend)) = &way else { break };
            sleep_until(due.into()).await;
            match self.check(host, &**backend, &mut session, due, &settings).await {
                Asked::Refused(failure) => {
                    self.refused(host, *pool, &failure);
                    way = None;
                    continue;
                }
                Asked::Check(check, facts) => {
                    self.follow_turn(host, vigil.checked(check, settings.failures), &settings);
                    self.learn(host, facts);
                }
            }
            // Nobody waits for a host that is silent already: it is asked less and less often.
            let alone = vigil.is_silent() && leases.is_empty();
            pause = if alone {
                (pause * 2).min(LONGEST_PAUSE)
            } else {
                settings.interval
            };
            due = (due + pause).max(Instant::now());
            settings = match self.monitors.wanted.get() {
                Some(settings) => settings,
                None => break,
            };
        }
        if let Some(session) = session {
            let _ = timeout(GOODBYE, session.close()).await;
        }
    }

    /// The long leases of a host that is to be asked; none where it need not be any more.
    fn still_needed(&self, host: &str, vigil: &Vigil, settings: &Settings) -> Option<Vec<Long>> {
        let before = Instant::now().checked_sub(settings.after)?;
        let (mut long, _) = self.long_leases(before);
        long.retain(|lease| *lease.host == *host);
        let used = || self.mirror(|mirror| mirror.leads_to(host));
        (!long.is_empty() || (vigil.is_silent() && used())).then_some(long)
    }

    async fn check(
        &'static self,
        host: &Arc<str>,
        backend: &dyn Backend,
        session: &mut Option<Box<dyn Session>>,
        due: Instant,
        settings: &Settings,
    ) -> Asked {
        let began = Instant::now();
        let mut in_time = true;
        let answer = {
            let mut asking = pin!(ask(host, backend, session.take()));
            tokio::select! {
                biased;
                answer = &mut asking => Ok(answer),
                // Listened to before its socket is closed.
                () = listen(settings.timeout, &mut in_time) => Err(self.hears(host, began)),
            }
        };
        match answer {
            _ if crate::trip::off("answers") => Asked::Check(Check::Silent, None),
            Ok(Ok((facts, open))) => {
                *session = open;
                Asked::Check(Check::Heard, Some(facts))
            }
            Ok(Err(failure)) if refuses(&failure) => Asked::Refused(failure),
            // Whatever it said, somebody is there: too many connections, starting up, a refused connect.
            Ok(Err(_)) | Err(true) => Asked::Check(Check::Heard, None),
            Err(false) if in_time => {
                let late = began.saturating_duration_since(due);
                Asked::Check(Check::without_a_word(settings, late), None)
            }
            Err(false) => Asked::Check(Check::Missed, None),
        }
    }

    /// Whether anything has come from a host since then, over whatever connection: a log-in that takes its time, or the
    /// rows of a long query. Such a host is not silent, only slow.
    fn hears(&self, host: &str, since: Instant) -> bool {
        if crate::trip::off("hearing") {
            return false;
        }
        let heard = |descriptor| socket::heard(descriptor).is_some_and(|ago| ago < since.elapsed());
        let own = self.followed().sockets().into_iter();
        if own
            .filter(|descriptor| socket::peer(*descriptor).is_some_and(|peer| peer == host))
            .any(heard)
        {
            return true;
        }
        let theirs = self.mirror(|mirror| mirror.sockets_to(host)).into_iter();
        theirs
            .filter(|(descriptor, identity)| socket::identity(*descriptor) == Some(*identity))
            .any(|(descriptor, _)| heard(descriptor))
    }

    fn refused(&self, host: &Arc<str>, pool: u64, failure: &Failure) {
        if let Some(known) = lock(&self.monitors.hosts).get_mut(host) {
            known.refused.insert(pool);
        }
        self.cannot_watch_over(host, &format!("its monitor is refused: {failure}"));
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
}

/// Waits for so long, and notices where this process got no time meanwhile: then the question may not have been sent.
async fn listen(time: Duration, in_time: &mut bool) {
    let slice = time / SLICES;
    for _ in 0..SLICES {
        let began = Instant::now();
        sleep(slice).await;
        *in_time &= began.elapsed() < slice * 2;
    }
}

/// Asks over a connection of the monitor's own, which is kept where nobody stands in between. A pooler answers a log-in by
/// itself, and a question when it has a connection to spare, which may be late without anybody being silent.
async fn ask(
    host: &str,
    backend: &dyn Backend,
    session: Option<Box<dyn Session>>,
) -> Result<(Facts, Option<Box<dyn Session>>), Failure> {
    let mut session = match session {
        Some(session) => session,
        // The check has its own, earlier end.
        None => backend.connect(tokio::time::Instant::now() + FOREVER).await?.session,
    };
    let facts = session.facts(host).await?;
    if facts.direct {
        return Ok((facts, Some(session)));
    }
    let _ = session.close().await;
    Ok((facts, None))
}

fn refuses(failure: &Failure) -> bool {
    match failure.kind {
        Kind::Tls | Kind::Configuration => true,
        Kind::Answer => {
            let state = failure.sqlstate.as_deref().unwrap_or_default();
            match failure.number {
                Some(number) => REFUSED.contains(&number),
                None => state.starts_with("28") || state == "3D000",
            }
        }
        // What cannot be read was said by somebody.
        Kind::Lost | Kind::Late | Kind::Role | Kind::Value | Kind::Protocol => false,
    }
}

impl Process {
    fn follow_turn(&'static self, host: &Arc<str>, turn: Turn, settings: &Settings) {
        match turn {
            Turn::Go => {}
            Turn::Silent { first } => self.silent(host, first, settings),
            Turn::Up => self.notify(Notice {
                name: "host.up".to_owned(),
                host: Some(host.to_string()),
                ..Notice::default()
            }),
        }
    }
}
