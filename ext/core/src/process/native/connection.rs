//! One connection of a native pool.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::Process;
use crate::backend::{Failure, Opened, Session};
use crate::clock::Moment;
use crate::observed::{Condemned, Mark, Socket};
use crate::pool::Standing;
use crate::socket;
use crate::sql::Effect;
use crate::trip;

/// A session with what the pool knows of it.
pub(super) struct Kept {
    pub(super) session: Box<dyn Session>,
    pub(super) host: Arc<str>,
    pub(super) opened_at: Instant,
    pub(super) retires_at: Option<Moment>,
    /// The pool's generation when its connect began.
    pub(super) generation: u64,
    /// When the server last answered.
    pub(super) answered_at: Moment,
    /// Whether a transaction is open, as far as statements tell.
    pub(super) transaction: Transaction,
    /// Whether something was run that may have changed what the session does from now on, with whatever statement: that
    /// each begins a transaction, or meets a table that is locked. No COMMIT ends that.
    pub(super) unsettled: bool,
    /// Whether a transaction was open before the statement that is to begin one.
    before: Transaction,
    /// How many `transaction` blocks are open, one in the other.
    pub(super) depth: u32,
    /// Set where a statement was cut off: nobody knows what the session is in the middle of.
    pub(super) interrupted: bool,
    descriptor: Option<RawFd>,
    mark: Arc<Mark>,
    entry: Entry,
}

/// A connection as the pool keeps it: passed from slot to slot, and large.
pub(super) type Boxed = Box<Kept>;

/// Whether a transaction is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transaction {
    None,
    Open,
    /// A statement in it has failed: PostgreSQL goes no further, and ends it with a rollback whatever is asked.
    Failed,
    /// Something was run that may have begun one.
    Possible,
}

/// Its place in the account of all connections, which it leaves when it is dropped.
struct Entry {
    process: &'static Process,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.process.mirror(|mirror| mirror.forget(self.number));
    }
}

impl Kept {
    /// Enters a new session into the account of all connections, and its socket into the watch.
    pub(super) fn new(
        process: &'static Process,
        pool: u64,
        opened: Opened,
        asked_at: Instant,
        lifetime: Option<Duration>,
    ) -> Box<Self> {
        let mark = Arc::new(Mark::default());
        let number = process.mirror(|mirror| mirror.enlist_native(pool, mark.clone()));
        let entry = Entry { process, number };
        let host = process.native_socket(number, opened.descriptor, asked_at);
        let now = Moment::now();
        Box::new(Kept {
            session: opened.session,
            host,
            opened_at: asked_at,
            retires_at: lifetime.map(|time| now + time),
            answered_at: now,
            generation: 0,
            transaction: Transaction::None,
            unsettled: false,
            before: Transaction::None,
            depth: 0,
            interrupted: false,
            descriptor: opened.descriptor,
            mark,
            entry,
        })
    }

    /// By what the account of all connections knows it.
    pub(super) fn number(&self) -> u64 {
        self.entry.number
    }

    pub(super) fn condemn(&self) {
        self.mark.condemn();
    }

    /// Whether it is condemned, or its server has hung up without the watch having said so yet.
    pub(super) fn is_dead(&self) -> bool {
        self.mark.is_condemned() || self.descriptor.is_some_and(socket::hung_up)
    }

    /// Whether its server may have hung up without anybody having seen it, for nobody knows its socket.
    pub(super) fn is_unseen(&self) -> bool {
        self.descriptor.is_none() && self.session.has_peer()
    }

    /// Notes what a statement that is about to be sent may do.
    pub(super) fn about_to(&mut self, effect: Effect) {
        self.before = self.transaction;
        match effect {
            Effect::Begins => self.transaction = Transaction::Open,
            Effect::Unknown => {
                self.unsettled = true;
                if self.transaction == Transaction::None {
                    self.transaction = Transaction::Possible;
                }
            }
            _ => {}
        }
    }

    /// Notes that the server has answered a statement with this effect, or refused it.
    pub(super) fn answered(&mut self, effect: Effect, refused: Option<&Failure>) {
        self.answered_at = Moment::now();
        match refused {
            None if effect == Effect::Ends => self.transaction = Transaction::None,
            None if effect == Effect::Returns && self.transaction == Transaction::Failed => {
                self.transaction = Transaction::Open;
            }
            // Nothing was open, and nothing is, as far as one can tell.
            Some(_) if effect == Effect::Begins && self.before == Transaction::None => {
                self.transaction = Transaction::Possible;
            }
            Some(failure) if self.transaction == Transaction::Open && self.session.loses_transaction(failure) => {
                self.transaction = Transaction::Failed;
            }
            _ => {}
        }
    }

    /// Whether the server has ended the transaction that the owner believes to be in, and would go on without it.
    pub(super) fn has_lost_transaction(&self) -> bool {
        self.transaction == Transaction::Failed && self.session.goes_on_without_transaction()
    }

    pub(super) async fn close(self: Box<Self>) -> Result<(), Failure> {
        // What hangs up now answers us, and means nothing.
        self.entry.process.dropped(self.entry.number);
        self.session.close().await
    }
}

impl Standing for Box<Kept> {
    fn is_condemned(&self) -> bool {
        self.mark.is_condemned() && !trip::off("mark")
    }

    fn is_dirty(&self) -> bool {
        !trip::off("rollback") && (self.interrupted || self.unsettled || self.transaction != Transaction::None)
    }

    fn is_old(&self, now: Moment) -> bool {
        self.retires_at.is_some_and(|time| time <= now)
    }
}

impl Process {
    /// Takes the socket of a new native connection into the watch. Returns the server at its other end.
    fn native_socket(&'static self, connection: u64, descriptor: Option<RawFd>, asked_at: Instant) -> Arc<str> {
        let configured = self.mirror(|mirror| mirror.host_of(connection));
        let configured = configured.unwrap_or_else(|| Arc::from("unknown"));
        let Some((descriptor, identity)) = descriptor.and_then(|number| Some((number, socket::identity(number)?)))
        else {
            return configured;
        };
        self.met(descriptor, false);
        let host: Arc<str> = socket::peer(descriptor).map_or_else(|| configured.clone(), Arc::from);
        self.hosts.moved(&configured, &host);
        let raised = self.hosts.epoch(&host).1;
        self.mirror(|mirror| {
            let socket = Socket {
                identity,
                descriptor,
                host: host.clone(),
                watched: true,
                opened_after: Some(asked_at),
                seen_at: Instant::now(),
            };
            mirror.socket(connection, Some(socket));
            if raised.is_some_and(|raised| asked_at < raised) {
                mirror.condemn(connection, Condemned::OldEpoch);
            }
        });
        // Only now, so that no hang-up can arrive before its connection can be found.
        if !self.watch(descriptor, identity) {
            self.mirror(|mirror| mirror.unwatched(connection));
        }
        self.collect();
        host
    }
}
