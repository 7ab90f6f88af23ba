//! Real messages, with what they mean.

use super::*;

/// Real messages of libpq, ruby-pg, PgBouncer and PostgreSQL 15; `{}` is libpq's prefix of 14 and later.
pub(super) const POSTGRES: &[(&str, Option<Fault>)] = &[
    ("number of parameters must be between 0 and 65535\n", None),
    ("command string is a null pointer\n", None),
    (
        "synchronous command execution functions are not allowed in pipeline mode\n",
        None,
    ),
    ("cannot queue commands during COPY\n", None),
    (
        "PQconsumeInput() FATAL:  terminating connection due to idle-in-transaction timeout\n",
        Some(Expired),
    ),
    (
        "PQconsumeInput() FATAL:  terminating connection due to idle-session timeout\n",
        Some(Expired),
    ),
    (
        "PQconsumeInput() FATAL:  terminating connection due to transaction timeout\n",
        Some(Expired),
    ),
    ("{}FATAL:  password authentication failed for user \"app\"\n", None),
    ("FATAL:  Peer authentication failed for user \"app\"\n", None),
    (
        "{}FATAL:  no pg_hba.conf entry for host \"10.0.0.9\", user \"app\", database \"orders\", SSL off\n",
        None,
    ),
    (
        "{}FATAL:  pg_hba.conf rejects connection for host \"10.0.0.9\", user \"app\"\n",
        None,
    ),
    ("{}FATAL:  database \"orders\" does not exist\n", None),
    ("FATAL:  role \"app\" does not exist\n", None),
    ("{}FATAL:  role \"app\" is not permitted to log in\n", None),
    (
        "{}FATAL:  permission denied for database \"orders\"\nDETAIL:  User does not have CONNECT privilege.\n",
        None,
    ),
    (
        "{}FATAL:  database \"orders\" is not currently accepting connections\n",
        None,
    ),
    ("{}FATAL:  connection requires a valid client certificate\n", None),
    ("{}fe_sendauth: no password supplied\n", None),
    ("{}server does not support SSL, but SSL was required\n", None),
    (
        "{}server doesn't support GSSAPI encryption, but it was required\n",
        None,
    ),
    (
        "{}GSSAPI encryption required but was impossible (possibly no credential cache)\n",
        None,
    ),
    ("{}SSL error: certificate verify failed\n", None),
    (
        "{}server certificate for \"other\" does not match host name \"db\"\n",
        None,
    ),
    ("{}root certificate file \"/root.crt\" does not exist\n", None),
    (
        "{}could not read certificate file \"/client.crt\": No such file or directory\n",
        None,
    ),
    ("{}private key file \"/client.key\" has group or world access\n", None),
    ("invalid connection option \"hots\"\n", None),
    ("invalid sslmode value: \"on\"\n", None),
    ("invalid port number: \"70000\"\n", None),
    ("definition of service \"orders\" not found\n", None),
    ("{}FATAL:  no such database: orders\n", None),
    ("{}FATAL:  no such user\n", None),
    ("{}FATAL:  sorry, too many clients already\n", Some(Overloaded)),
    (
        "{}FATAL:  remaining connection slots are reserved for non-replication superuser connections\n",
        Some(Overloaded),
    ),
    (
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute\n",
        Some(Overloaded),
    ),
    ("{}FATAL:  too many connections for role \"app\"\n", Some(Overloaded)),
    (
        "{}could not fork new process for connection: Cannot allocate memory\n",
        Some(Overloaded),
    ),
    (
        "{}FATAL:  no more connections allowed (max_client_conn)\n",
        Some(Overloaded),
    ),
    ("{}FATAL:  query_wait_timeout\n", Some(Overloaded)),
    (
        "FATAL:  server login has been failing, try again later (server_login_retry)\n",
        Some(Unreachable),
    ),
    ("FATAL:  pgbouncer cannot connect to server\n", Some(Unreachable)),
    ("FATAL:  the database system is starting up\n", Some(Unreachable)),
    ("FATAL:  the database system is shutting down\n", Some(Unreachable)),
    ("{}FATAL:  the database system is in recovery mode\n", Some(Unreachable)),
    ("FATAL:  the database system is in recovery mode\n", Some(Unreachable)),
    (
        "FATAL:  the database system is not yet accepting connections\n",
        Some(Unreachable),
    ),
    (
        "FATAL:  the database system is not accepting connections\n",
        Some(Unreachable),
    ),
    (
        "{}Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\n",
        Some(Unreachable),
    ),
    (
        "connection to server on socket \"/run/.s.PGSQL.5432\" failed: No such file or directory\n",
        Some(Unreachable),
    ),
    ("{}timeout expired", Some(Unreachable)),
    ("{}session is read-only\n", Some(Unreachable)),
    (
        "{}server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n",
        Some(Unreachable),
    ),
    ("could not connect to server: No route to host\n", Some(Unreachable)),
    (
        "could not connect to server: Connection refused\n\tIs the server running on host \"db\"\n",
        Some(Unreachable),
    ),
    (
        "could not translate host name \"db\" to address: Name or service not known\n",
        Some(Unreachable),
    ),
    (
        "could not receive data from server: Connection refused\n",
        Some(Unreachable),
    ),
    ("could not open: No such file or directory\n", Some(Unreachable)),
    ("timeout expired\n", Some(Unreachable)),
    ("no connection to the server\n", Some(Dead)),
    ("connection not open\n", Some(Dead)),
    ("connection is closed", Some(Dead)),
    (
        "PQconsumeInput() SSL connection has been closed unexpectedly\n",
        Some(Dead),
    ),
    ("PQconsumeInput() SSL SYSCALL error: EOF detected\n", Some(Dead)),
    (
        "PQconsumeInput() server closed the connection unexpectedly\n",
        Some(Dead),
    ),
    ("PQsocket() can't get socket descriptor", Some(Dead)),
    ("another command is already in progress\n", Some(Dead)),
    (
        "PQconsumeInput() FATAL:  terminating connection due to administrator command\n",
        Some(Dead),
    ),
    (
        "PQconsumeInput() could not receive data from server: Connection timed out\n",
        Some(Dead),
    ),
    ("could not send data to server: Broken pipe\n", Some(Dead)),
    (
        "lost synchronization with server: got message type \"a\", length 7\n",
        Some(Dead),
    ),
];

/// From mysql2 and trilogy.
pub(super) const MYSQL: &[(&str, Option<Fault>)] = &[
    ("MySQL client is not connected", Some(Dead)),
    ("MySQL server has gone away", Some(Dead)),
    ("Lost connection to MySQL server during query", Some(Dead)),
    ("trilogy_query_send: TRILOGY_MAX_PACKET_EXCEEDED", None),
    ("trilogy_auth_recv: TRILOGY_UNSUPPORTED", None),
    ("trilogy_auth_recv: TRILOGY_AUTH_PLUGIN_TOO_LONG", None),
    ("trilogy_ssl_upgrade: SSL Error: certificate verify failed", None),
    ("SSL required, not supported by server", None),
    (
        "Connection refused - trilogy_connect - unable to connect to db:3306",
        Some(Unreachable),
    ),
    ("trilogy_auth_recv: TRILOGY_CLOSED_CONNECTION", Some(Unreachable)),
    (
        "trilogy_ssl_upgrade: SSL Error: unexpected eof while reading",
        Some(Unreachable),
    ),
    ("unable to resolve: TRILOGY_DNS_ERROR", Some(Unreachable)),
    ("trilogy_query_recv: TRILOGY_INVALID_SEQUENCE_ID", Some(Dead)),
    ("trilogy_query_recv: TRILOGY_CLOSED_CONNECTION: EPIPE", Some(Dead)),
    ("trilogy_query_recv: TRILOGY_UNEXPECTED_PACKET", Some(Dead)),
    ("trilogy_query_recv: TRILOGY_TRUNCATED_PACKET", Some(Dead)),
    ("trilogy_query_recv: TRILOGY_PROTOCOL_VIOLATION", Some(Dead)),
    ("trilogy_query_recv: TRILOGY_EXTRA_DATA_IN_PACKET", Some(Dead)),
    ("Attempted to use closed connection", Some(Dead)),
];

/// From `ActiveRecord`.
pub(super) const ACTIVE_RECORD: &[(&str, Option<Fault>)] = &[
    (
        "No connection pool for 'ActiveRecord::Base' found for the 'reading' role.",
        None,
    ),
    ("ActiveRecord::ConnectionNotEstablished", None),
    ("Connection refused", Some(Unreachable)),
];
