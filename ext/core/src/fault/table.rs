//! The table: what codes and classes say. The texts are in [`super::texts`].
//!
//! Every list is read from the top; the first row that fits speaks. "AR" rows are what ActiveRecord 6.1 to 8.1
//! and its drivers raise; the others name the source that defines them.

use super::Fault::{self, Dead, Demoted, Expired, Overloaded, Unreachable};
use Says::{Aftermath, AtLeast, Innocent, Is, Leans, LeansInnocent, Nothing};

/// What one link of a chain says about the connection it happened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// This fault. What caused it is older, so the reading ends.
    Is(Fault),
    /// Dead, and known to be so before: what is beneath may tell that it was routine.
    Aftermath,
    /// No fault of a connection: the reading ends.
    Innocent,
    /// A wrapper's opinion; the driver's error beneath it knows better.
    Leans(Fault),
    /// A wrapper that blames the configuration; the driver's error beneath it knows better.
    LeansInnocent,
    /// A driver's class without a word that the table knows: dead, unless a wrapper around it says what else.
    AtLeast(Fault),
    /// Nothing, whatever its ancestors are called: as silent as an application's error.
    Nothing,
}

/// A class or module by name; it fits where it is among the ancestors.
pub(super) struct Class {
    pub(super) name: &'static str,
    pub(super) says: Says,
}

/// An SQLSTATE, or the class of one where the prefix is short.
pub(super) struct State {
    pub(super) prefix: &'static str,
    /// Told only together with the end of the session (FATAL). With severity ERROR the state was handed on by
    /// postgres_fdw or dblink from *their* connection, or is a client's mistake (08P01 for a wrong number of bind
    /// values): ours is well.
    pub(super) fatal: bool,
    pub(super) says: Says,
}

/// A range of MySQL numbers, where `text` is given only with all of these words.
pub(super) struct Number {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) text: &'static [&'static str],
    pub(super) says: Says,
}

const fn class(name: &'static str, says: Says) -> Class {
    Class { name, says }
}

const fn fatal(prefix: &'static str, fault: Fault) -> State {
    State {
        prefix,
        fatal: true,
        says: Is(fault),
    }
}

const fn number(number: i64, says: Says) -> Number {
    Number {
        from: number,
        to: number,
        text: &[],
        says,
    }
}

const fn worded(number: i64, text: &'static [&'static str], says: Says) -> Number {
    Number {
        from: number,
        to: number,
        text,
        says,
    }
}

/// Looked at before anything else.
pub(super) static EXCLUSIONS: &[Class] = &[
    // AR: the pool is exhausted. It names a pool of its own, so what it was raised in the rescue of (another
    // pool's fault, perhaps) must not be charged to that pool: the reading ends.
    class("ActiveRecord::ConnectionTimeoutError", Innocent),
    class("ActiveRecord::ExclusiveConnectionTimeoutError", Innocent),
    // AR: a slow query. The drivers' own time-outs are below, with the classes: at connect they mean more.
    class("ActiveRecord::AdapterTimeout", Innocent),
    class("ActiveRecord::QueryCanceled", Innocent),
    class("ActiveRecord::StatementTimeout", Innocent),
    // AR, MySQL 1205 and PostgreSQL 55P03: contention; likewise the deadlock of 1213 and 40P01.
    class("ActiveRecord::LockWaitTimeout", Innocent),
    class("ActiveRecord::Deadlocked", Innocent),
    // AR: two threads or fibers on one connection.
    class("Trilogy::SynchronizationError", Innocent),
    // trilogy error.rb: the server wants an authentication plugin that is not there.
    class("Trilogy::AuthPluginError", Innocent),
    // AR: SQLite is never dead; ActiveRecord turns its "closed database" into ConnectionNotEstablished.
    class("SQLite3::Exception", Innocent),
    // AR: wrong configuration. But 6.1 to 8.1 raise it for *every* connect error whose text contains the
    // database's name, so also for a refused connect to the host "orders-db": the driver's error decides.
    class("ActiveRecord::NoDatabaseError", LeansInnocent),
    // AR: raised by the client before anything is sent, so mistakes of the application and nothing more; what
    // they were raised in the rescue of still counts.
    class("ActiveRecord::ReadOnlyError", Nothing),
    class("ActiveRecord::ConnectionNotDefined", Nothing),
    // The native pool's own exhaustion and end.
    class("Poolkeeper::TimeoutError", Innocent),
    class("Poolkeeper::PoolClosedError", Innocent),
];

/// PostgreSQL. A state that is not here is a server's ordinary answer.
pub(super) static STATES: &[State] = &[
    // AR: administrator's command, crash of another backend.
    fatal("57P01", Dead),
    fatal("57P02", Dead),
    // AR: cannot connect now.
    fatal("57P03", Unreachable),
    // PostgreSQL errcodes.txt, database dropped. Decided here: only ever the end of the session, so dead; what comes
    // next is 3D000 at connect, which is configuration.
    fatal("57P04", Dead),
    // AR: idle_session_timeout, idle_in_transaction_session_timeout.
    fatal("57P05", Expired),
    fatal("25P03", Expired),
    // PostgreSQL 17, transaction_timeout: also a limit of the server's that ends the session.
    fatal("25P04", Expired),
    // AR: 08000, 08001, 08003, 08004, 08006, 08007, 08P01.
    fatal("08", Dead),
    // AR.
    fatal("53300", Overloaded),
    // AR: an ERROR, and the session lives, on the wrong server.
    State {
        prefix: "25006",
        fatal: false,
        says: Is(Demoted),
    },
];

/// MySQL and MariaDB, both drivers. A server's number that is not here is an ordinary answer.
pub(super) static NUMBERS: &[Number] = &[
    // AR: overload; 1203 and 1226 (mysqld_error.h) are the limits of one user.
    number(1040, Is(Overloaded)),
    number(1203, Is(Overloaded)),
    worded(1226, &["connections"], Is(Overloaded)),
    // AR: access denied, in three forms, and no such database.
    number(1044, Innocent),
    number(1045, Innocent),
    number(1698, Innocent),
    number(1049, Innocent),
    // mysqld_error.h: host not allowed; log-in protocol refused; password expired; account locked (MySQL, MariaDB);
    // transport must be encrypted. All configuration, but filed under connection errors by who raises them.
    number(1130, Innocent),
    number(1251, Innocent),
    number(1862, Innocent),
    number(3118, Innocent),
    number(4151, Innocent),
    number(3159, Innocent),
    // AR: lock wait, deadlock, query time limit.
    number(1205, Innocent),
    number(1213, Innocent),
    number(3024, Innocent),
    // AR: shutdown in progress, normal shutdown, shutdown complete.
    number(1053, Is(Dead)),
    number(1077, Is(Dead)),
    number(1079, Is(Dead)),
    // mysqld_error.h: host blocked after too many connection errors: nobody gets in until somebody unblocks it.
    number(1129, Is(Unreachable)),
    // AR: network errors.
    Number {
        from: 1152,
        to: 1161,
        text: &[],
        says: Is(Dead),
    },
    number(1184, Is(Dead)),
    // AR: killed (MariaDB); mysqld_error.h 3169: killed (MySQL).
    number(1927, Is(Dead)),
    number(3169, Is(Dead)),
    // mysqld_error.h: offline mode, server not available.
    number(3032, Is(Unreachable)),
    number(3168, Is(Unreachable)),
    // AR: 1290 names the option that forbids the statement; --secure-file-priv is another one.
    worded(1290, &["read-only"], Is(Demoted)),
    worded(1290, &["read_only"], Is(Demoted)),
    number(1792, Is(Demoted)),
    number(1836, Is(Demoted)),
    // mysqld_error.h: InnoDB is in read only mode, which is what an Aurora reader is.
    number(1874, Is(Demoted)),
    // AR: disconnected by the server because of inactivity.
    number(4031, Is(Expired)),
    // AR: the client cannot connect; errmsg.h 2001, 2004: no socket to be had; 2012: handshake.
    Number {
        from: 2001,
        to: 2005,
        text: &[],
        says: Is(Unreachable),
    },
    number(2012, Is(Unreachable)),
    // errmsg.h: lost "at 'reading initial communication packet'" and its like happen while connecting.
    worded(2013, &["server at '"], Is(Unreachable)),
    worded(2055, &["server at '"], Is(Unreachable)),
    // AR: gone, lost, lost with the step named.
    number(2006, Aftermath),
    number(2013, Is(Dead)),
    number(2055, Is(Dead)),
    // AR: out of step, malformed: throw the connection away.
    number(2014, Is(Dead)),
    number(2027, Is(Dead)),
    // errmsg.h: after a packet over max_allowed_packet the client library hangs up; 2048: the handle is invalid.
    number(2020, Is(Dead)),
    number(2048, Is(Dead)),
    // errmsg.h: TLS. A certificate that does not convince is configuration, a broken stream is not.
    worded(2026, &["certificate"], Innocent),
    worded(2026, &["ssl is required"], Innocent),
    number(2026, Is(Dead)),
    // errmsg.h: wrong protocol version, wrong host info, unknown protocol, old log-in, plugin missing or failing.
    number(2007, Innocent),
    number(2009, Innocent),
    number(2047, Innocent),
    number(2049, Innocent),
    number(2054, Innocent),
    number(2059, Innocent),
    number(2061, Innocent),
    // ProxySQL: no server of the host group could be reached in time.
    number(9001, Is(Unreachable)),
];

/// The last resort, for links without a code and without a known text.
pub(super) static CLASSES: &[Class] = &[
    // AR, wrappers. ConnectionFailed comes from a connection that was up, the other two mostly from connecting;
    // where they do not ("connection is closed", "client is not connected") the driver's text beneath them says so.
    class("ActiveRecord::ConnectionFailed", Leans(Dead)),
    class("ActiveRecord::DatabaseConnectionError", Leans(Unreachable)),
    class("ActiveRecord::ConnectionNotEstablished", Leans(Unreachable)),
    // the pool has seen to its connection already, so no more than the incident is asked for.
    class("Poolkeeper::ReadOnlyError", Leans(Demoted)),
    class("Poolkeeper::HostDownError", Leans(Unreachable)),
    class("Poolkeeper::ConnectionError", Leans(Unreachable)),
    // AR.
    class("PG::ConnectionBad", AtLeast(Dead)),
    class("PG::UnableToSend", AtLeast(Dead)),
    class("Mysql2::Error::ConnectionError", AtLeast(Dead)),
    // AR, a time-out without a code: suspect. Not known to be dead; nothing is done about it yet.
    class("Mysql2::Error::TimeoutError", Innocent),
    class("Trilogy::TimeoutError", Innocent),
    class("Trilogy::SyscallError::ECONNREFUSED", Is(Unreachable)),
    // AR: a module; ConnectionClosed, EOFError, SSLError, SyscallError::E* and BaseConnectionError include it.
    class("Trilogy::ConnectionError", AtLeast(Dead)),
];

/// AR, "bare": classes that anybody's code may raise. They speak only where they come from inside a driver.
pub(super) static BARE: &[Class] = &[
    // Ruby 3.2, IO#timeout: a time-out without a code, as above. It is an IOError.
    class("IO::TimeoutError", Innocent),
    // Name resolution; it is a StandardError and no SystemCallError.
    class("SocketError", AtLeast(Unreachable)),
    class("Errno::ECONNREFUSED", AtLeast(Unreachable)),
    class("Errno::EHOSTUNREACH", AtLeast(Unreachable)),
    class("Errno::ENETUNREACH", AtLeast(Unreachable)),
    // Files (a key, a schema cache) and the limits of this process, not sockets.
    class("Errno::ENOENT", Nothing),
    class("Errno::EACCES", Nothing),
    class("Errno::EPERM", Nothing),
    class("Errno::EISDIR", Nothing),
    class("Errno::ENOTDIR", Nothing),
    class("Errno::EROFS", Nothing),
    class("Errno::ENOSPC", Nothing),
    class("Errno::EMFILE", Nothing),
    class("Errno::ENFILE", Nothing),
    class("Errno::ENOMEM", Nothing),
    // Not errors, only "not yet".
    class("Errno::EAGAIN", Nothing),
    class("Errno::EINPROGRESS", Nothing),
    class("Errno::EINTR", Nothing),
    class("SystemCallError", AtLeast(Dead)),
    // EOFError is one.
    class("IOError", AtLeast(Dead)),
    class("OpenSSL::SSL::SSLError", AtLeast(Dead)),
];
