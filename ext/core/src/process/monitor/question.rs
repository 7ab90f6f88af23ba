//! A monitor's own connection: it asks over that one, and listens on all that lead to its host.

use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::super::Process;
use crate::backend::{Backend, Facts, Failure, Kind, Session};
use crate::host::{Check, Settings};
use crate::socket;
use crate::trip;

/// While it listens a monitor looks so often whether it does.
const SLICES: u32 = 4;
/// What timers add by themselves.
const ROUNDING: Duration = Duration::from_millis(2);
/// A log-in has the end that its check sets it, and none of its own.
const FOREVER: Duration = Duration::from_secs(86_400);
/// Errors with which MySQL lets nobody in by these credentials: 1044, 1045, 1049, 1129, 1130, 1698.
const REFUSED: [i64; 6] = [1044, 1045, 1049, 1129, 1130, 1698];

/// Log-ins so far, so that two answers can be told to have come over two.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// Of one check.
pub(super) struct Times {
    /// When it was due.
    pub(super) due: Instant,
    /// When it began.
    pub(super) began: Instant,
    /// Whatever was heard from then on counts.
    pub(super) since: Instant,
}

/// What asking came to.
pub(super) enum Asked {
    /// Nothing was said that anybody could read.
    Check(Check),
    /// The host said what it is.
    Told(Facts),
    /// By these credentials nobody is let in: whoever asked on would only fill the server's log.
    Refused(Failure),
}

type Answer = Result<(Facts, Option<Open>), Failure>;

/// A question under way, and whether it has got beyond the log-in.
struct Asking {
    future: Pin<Box<dyn Future<Output = Answer> + Send>>,
    is_in: Arc<AtomicBool>,
}

/// A log-in that has been answered.
struct Open {
    session: Box<dyn Session>,
    number: u64,
}

/// A line to one host.
pub(super) struct Line {
    process: &'static Process,
    host: Arc<str>,
    pool: u64,
    backend: Arc<dyn Backend>,
    open: Option<Open>,
    /// A log-in that has found no answer yet: whoever began another for each question would meet a slow one again and
    /// again, and leave it half done.
    asking: Option<Asking>,
    /// Over which log-in the newest answer came.
    session: u64,
}

impl Line {
    /// By the credentials of a pool.
    pub(super) fn new(process: &'static Process, host: Arc<str>, pool: u64, backend: Box<dyn Backend>) -> Self {
        Line {
            process,
            host,
            pool,
            backend: backend.into(),
            open: None,
            asking: None,
            session: 0,
        }
    }

    pub(super) fn pool(&self) -> u64 {
        self.pool
    }

    /// Over which log-in the newest answer came.
    pub(super) fn session(&self) -> u64 {
        self.session
    }

    /// The next question is asked over a new connection.
    pub(super) fn hang_up(&mut self) {
        self.open = None;
        self.asking = None;
    }

    /// Says goodbye.
    pub(super) async fn close(self) {
        if let Some(open) = self.open {
            let _ = open.session.close().await;
        }
    }

    /// Asks once, and listens for as long as an answer may take; `anew` where what was asked before is lost.
    pub(super) async fn ask(&mut self, times: &Times, settings: &Settings, anew: bool) -> Asked {
        if anew {
            self.asking = None;
        }
        let mut asking = self.asking.take().unwrap_or_else(|| self.question());
        let mut away = Duration::ZERO;
        let answer = tokio::select! {
            biased;
            answer = &mut asking.future => Some(answer),
            () = listen(settings.timeout, &mut away) => None,
        };
        match answer {
            _ if trip::off("answers") => Asked::Check(Check::Silent),
            Some(Ok((facts, open))) => {
                self.session = open.as_ref().map_or(self.session, |open| open.number);
                self.open = open;
                Asked::Told(facts)
            }
            Some(Err(failure)) if refuses(&failure) => Asked::Refused(failure),
            // The kernel's word that nobody answers a connect.
            Some(Err(failure)) if failure.io == Some(ErrorKind::TimedOut) => Asked::Check(Check::Silent),
            Some(Err(failure)) if failure.is_our_own() => Asked::Check(Check::Unasked),
            // Whatever it said, somebody is there: too many connections, starting up, a refused connect.
            Some(Err(_)) => Asked::Check(Check::Heard),
            None => {
                // Listened to while its own socket is still open.
                let heard = self.hears(times.since);
                self.asking = Some(asking).filter(|asking| !asking.is_in.load(Ordering::Relaxed));
                Asked::Check(match heard {
                    true => Check::Heard,
                    false => {
                        let late = times.began.saturating_duration_since(times.due);
                        Check::without_a_word(settings, late, away)
                    }
                })
            }
        }
    }

    fn question(&mut self) -> Asking {
        let open = self.open.take();
        let is_in = Arc::new(AtomicBool::new(open.is_some()));
        let (host, backend) = (self.host.clone(), self.backend.clone());
        let future = Box::pin(question(host, backend, open, is_in.clone()));
        Asking { future, is_in }
    }

    /// Whether anything has come from the host since then, over whatever connection: a log-in that takes its time, or the
    /// rows of a long query. Such a host is not silent, only slow.
    fn hears(&self, since: Instant) -> bool {
        let heard = |descriptor| socket::heard(descriptor).is_some_and(|ago| ago < since.elapsed());
        let own = self.process.followed().sockets().into_iter();
        let mut here = own.filter(|descriptor| socket::peer(*descriptor).is_some_and(|peer| *peer == *self.host));
        if here.any(heard) {
            return true;
        }
        let theirs = self.process.mirror(|mirror| mirror.sockets_to(&self.host)).into_iter();
        theirs
            .filter(|(descriptor, identity)| socket::identity(*descriptor) == Some(*identity))
            .any(|(descriptor, _)| heard(descriptor))
    }
}

/// Waits for so long, and adds up for how long this process got no time meanwhile: then the question may not have been
/// sent.
async fn listen(time: Duration, away: &mut Duration) {
    let slice = time / SLICES;
    for _ in 0..SLICES {
        let began = Instant::now();
        sleep(slice).await;
        *away += began.elapsed().saturating_sub(slice + ROUNDING);
    }
}

/// Asks over a connection of the monitor's own, which is kept where nobody stands in between. A pooler answers a log-in by
/// itself, and a question when it has a connection to spare, which may be late without anybody being silent.
async fn question(host: Arc<str>, backend: Arc<dyn Backend>, open: Option<Open>, is_in: Arc<AtomicBool>) -> Answer {
    let mut open = match open {
        Some(open) => open,
        None => Open {
            session: backend.connect(tokio::time::Instant::now() + FOREVER).await?.session,
            number: SESSIONS.fetch_add(1, Ordering::Relaxed) + 1,
        },
    };
    is_in.store(true, Ordering::Relaxed);
    let facts = open.session.facts(&host).await?;
    if facts.direct {
        return Ok((facts, Some(open)));
    }
    let _ = open.session.close().await;
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
