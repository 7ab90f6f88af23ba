//! The table, continued: what words say where a driver gives no code.
//!
//! They are looked for in the errors of drivers and in a few of ActiveRecord's, never in a statement's error, whose
//! text may quote what a user typed. libpq's own messages come in English, for Ruby leaves LC_MESSAGES alone; only
//! what the server sends may be translated, and then the class decides.

use super::table::Says::{self, Aftermath, Innocent, Is, Nothing};
use super::Fault::{Dead, Expired, Overloaded, Unreachable};

/// Words that must all occur, in lower case.
pub(super) struct Text {
    pub(super) words: &'static [&'static str],
    pub(super) says: Says,
}

const fn text(words: &'static [&'static str], says: Says) -> Text {
    Text { words, says }
}

/// For `PG::Error` without an SQLSTATE. "libpq" is its fe-*.c, "server" is postmaster.c, postinit.c and auth.c.
pub(super) static POSTGRES: &[Text] = &[
    // libpq, PQsend*: refused before anything was sent. The first is what an insert_all with too many values raises.
    text(&["number of parameters must be between"], Innocent),
    text(&["is a null pointer"], Innocent),
    text(&["pipeline mode"], Innocent),
    text(&["cannot queue commands during copy"], Innocent),
    // server: 57P05, 25P03 and 25P04 lose their SQLSTATE on the way.
    text(&["terminating connection due to idle"], Is(Expired)),
    text(&["terminating connection due to transaction timeout"], Is(Expired)),
    // server: the log-in is refused. "password", "certificate", "Peer", "Ident", "LDAP", "SASL" and others
    // stand before "authentication failed".
    text(&["authentication failed"], Innocent),
    text(&["no pg_hba.conf entry"], Innocent),
    text(&["pg_hba.conf rejects connection"], Innocent),
    text(&["database \"", "\" does not exist"], Innocent),
    text(&["role \"", "\" does not exist"], Innocent),
    text(&["is not permitted to log in"], Innocent),
    text(&["permission denied for database"], Innocent),
    text(&["is not currently accepting connections"], Innocent),
    text(&["requires a valid client certificate"], Innocent),
    // libpq: this side's configuration.
    text(&["no password supplied"], Innocent),
    text(&["but ssl was required"], Innocent),
    text(&["encryption", "but it was required"], Innocent),
    text(&["encryption required but was impossible"], Innocent),
    text(&["certificate verify failed"], Innocent),
    text(&["server certificate for", "does not match host name"], Innocent),
    text(&["certificate file \""], Innocent),
    text(&["private key file \""], Innocent),
    text(&["connection option \""], Innocent),
    text(&["invalid", "value: \""], Innocent),
    text(&["invalid port number"], Innocent),
    text(&["definition of service"], Innocent),
    // PgBouncer.
    text(&["no such database"], Innocent),
    text(&["no such user"], Innocent),
    // server: overloaded. "remaining connection slots are reserved for" goes on differently by version.
    text(&["too many clients"], Is(Overloaded)),
    text(&["connection slots are reserved"], Is(Overloaded)),
    text(&["too many connections for"], Is(Overloaded)),
    text(&["could not fork new process for connection"], Is(Overloaded)),
    // PgBouncer.
    text(&["no more connections allowed"], Is(Overloaded)),
    text(&["query_wait_timeout"], Is(Overloaded)),
    text(&["server login has been failing"], Is(Unreachable)),
    text(&["pgbouncer cannot connect to server"], Is(Unreachable)),
    // AR; server: 57P03 at connect.
    text(&["the database system is starting up"], Is(Unreachable)),
    text(&["the database system is shutting down"], Is(Unreachable)),
    text(&["the database system is in recovery mode"], Is(Unreachable)),
    text(
        &["the database system is not yet accepting connections"],
        Is(Unreachable),
    ),
    text(&["the database system is not accepting connections"], Is(Unreachable)),
    // libpq: any other end of a connect, by the prefix of 14 and later and of those before. A server that hangs up
    // while a client connects says "server closed the connection unexpectedly" behind it: nothing was up to die.
    text(&["connection to server ", " failed: "], Is(Unreachable)),
    text(&["could not connect to server"], Is(Unreachable)),
    text(&["could not translate host name"], Is(Unreachable)),
    text(&["connection refused"], Is(Unreachable)),
    text(&["no such file or directory"], Is(Unreachable)),
    text(&["timeout expired"], Is(Unreachable)),
    // AR.
    text(&["no connection to the server"], Aftermath),
    text(&["connection not open"], Aftermath),
    text(&["connection is closed"], Aftermath),
    text(&["ssl connection has been closed unexpectedly"], Is(Dead)),
    text(&["ssl syscall error"], Is(Dead)),
    text(&["server closed the connection unexpectedly"], Is(Dead)),
    text(&["can't get socket descriptor"], Aftermath),
    // libpq, the sibling of MySQL 2014: a query that was interrupted still runs on it; throw the connection away.
    text(&["another command is already in progress"], Is(Dead)),
    // libpq and server, the same event in other words.
    text(&["terminating connection"], Is(Dead)),
    text(&["could not receive data from server"], Is(Dead)),
    text(&["could not send data to server"], Is(Dead)),
    text(&["lost synchronization with server"], Is(Dead)),
];

/// For `Mysql2::Error` and `Trilogy::Error` without a number.
pub(super) static MYSQL: &[Text] = &[
    // AR.
    text(&["mysql client is not connected"], Aftermath),
    // errmsg.h, where the number was lost on the way.
    text(&["server has gone away"], Aftermath),
    text(&["lost connection to"], Is(Dead)),
    // trilogy cext.c: MAX_PACKET_EXCEEDED is found before anything is sent; what the server or this side does not
    // support is configuration.
    text(&["trilogy_max_packet_exceeded"], Innocent),
    text(&["trilogy_unsupported"], Innocent),
    text(&["trilogy_auth_plugin"], Innocent),
    text(&["certificate verify failed"], Innocent),
    text(&["ssl required, not supported by server"], Innocent),
    // trilogy cext.c: the steps of a connect, whatever it failed of.
    text(&["trilogy_connect"], Is(Unreachable)),
    text(&["trilogy_auth_"], Is(Unreachable)),
    text(&["trilogy_ssl_"], Is(Unreachable)),
    text(&["trilogy_dns_err"], Is(Unreachable)),
    // AR; trilogy cext.c: after each of these the driver has closed the socket.
    text(&["trilogy_invalid_sequence_id"], Is(Dead)),
    text(&["trilogy_closed_connection"], Is(Dead)),
    text(&["trilogy_unexpected_packet"], Is(Dead)),
    text(&["trilogy_truncated_packet"], Is(Dead)),
    text(&["trilogy_protocol_violation"], Is(Dead)),
    text(&["trilogy_extra_data_in_packet"], Is(Dead)),
    text(&["attempted to use closed connection"], Aftermath),
];

/// For `ActiveRecord::ConnectionNotEstablished`, which is also raised where there is nothing to connect to: then
/// it is a mistake of the application's, and no more.
pub(super) static ACTIVE_RECORD: &[Text] = &[
    // 6.1 to 7.2 connection_handler.rb; 8.0 has ConnectionNotDefined for it.
    text(&["no connection pool for"], Nothing),
    // 6.1 to 7.2 connection_pool.rb and connection_handling.rb: raised bare where a pool is missing or was closed for
    // good.
    text(&["activerecord::connectionnotestablished"], Nothing),
];
