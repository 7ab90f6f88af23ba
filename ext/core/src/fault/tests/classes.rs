//! Classes, exclusions and where an error was raised.

use super::*;

/// Where the reading ends without a fault, and where it goes on.
const ENDS: &[&str] = &[
    "ActiveRecord::ConnectionTimeoutError",
    "ActiveRecord::ExclusiveConnectionTimeoutError",
    "ActiveRecord::AdapterTimeout",
    "ActiveRecord::QueryCanceled",
    "ActiveRecord::StatementTimeout",
    "ActiveRecord::LockWaitTimeout",
    "ActiveRecord::Deadlocked",
    "Trilogy::SynchronizationError",
    "Trilogy::AuthPluginError",
    "SQLite3::Exception",
    "Poolkeeper::TimeoutError",
    "Poolkeeper::PoolClosedError",
];
const GOES_ON: &[&str] = &[
    "ActiveRecord::NoDatabaseError",
    "ActiveRecord::ReadOnlyError",
    "ActiveRecord::ConnectionNotDefined",
];

#[test]
fn an_exclusion_is_not_undone_by_its_own_ancestors() {
    for name in ENDS.iter().chain(GOES_ON) {
        let family = if name.starts_with("Trilogy") {
            "Trilogy::ConnectionError"
        } else {
            NOT_ESTABLISHED[0]
        };
        assert_eq!(
            classify(&[said(&[name, family], "connection is closed")]),
            None,
            "{name}"
        );
        assert_eq!(
            classify(&[bare(&["MyOwn", name, family])]),
            None,
            "a subclass of {name}"
        );
        assert_eq!(interest(&["MyOwn", name]), Interest::Words, "{name}");
    }
    assert!(table::EXCLUSIONS
        .iter()
        .all(|row| ENDS.contains(&row.name) || GOES_ON.contains(&row.name)));
}

#[test]
fn some_exclusions_end_the_reading_and_others_let_it_go_on() {
    for (names, fault) in [(ENDS, None), (GOES_ON, Some(Dead))] {
        for name in names {
            assert_eq!(
                classify(&[bare(&[name]), bare(FAILED), said(BAD, GONE)]),
                fault,
                "{name}"
            );
        }
    }
}

#[test]
fn each_class_of_the_table_has_its_verdict() {
    let words = [
        ("ActiveRecord::ConnectionFailed", Some(Dead)),
        ("ActiveRecord::DatabaseConnectionError", Some(Unreachable)),
        ("ActiveRecord::ConnectionNotEstablished", Some(Unreachable)),
        ("Poolkeeper::ReadOnlyError", Some(Demoted)),
        ("Poolkeeper::HostDownError", Some(Unreachable)),
        ("Poolkeeper::ConnectionError", Some(Unreachable)),
        ("PG::ConnectionBad", Some(Dead)),
        ("PG::UnableToSend", Some(Dead)),
        ("Mysql2::Error::ConnectionError", Some(Dead)),
        ("Mysql2::Error::TimeoutError", None),
        ("Trilogy::TimeoutError", None),
        ("Trilogy::SyscallError::ECONNREFUSED", Some(Unreachable)),
        ("Trilogy::ConnectionError", Some(Dead)),
    ];
    let origin = [
        ("IO::TimeoutError", None),
        ("SocketError", Some(Unreachable)),
        ("Errno::ECONNREFUSED", Some(Unreachable)),
        ("Errno::EHOSTUNREACH", Some(Unreachable)),
        ("Errno::ENETUNREACH", Some(Unreachable)),
        ("Errno::ENOENT", None),
        ("Errno::EACCES", None),
        ("Errno::EPERM", None),
        ("Errno::EISDIR", None),
        ("Errno::ENOTDIR", None),
        ("Errno::EROFS", None),
        ("Errno::ENOSPC", None),
        ("Errno::EMFILE", None),
        ("Errno::ENFILE", None),
        ("Errno::ENOMEM", None),
        ("Errno::EAGAIN", None),
        ("Errno::EINPROGRESS", None),
        ("Errno::EINTR", None),
        ("SystemCallError", Some(Dead)),
        ("IOError", Some(Dead)),
        ("OpenSSL::SSL::SSLError", Some(Dead)),
    ];
    for (name, fault) in words {
        assert_eq!(classify(&[bare(&["Mine", name])]), fault, "{name}");
        assert_eq!(interest(&["Mine", name]), Interest::Words, "{name}");
    }
    for (name, fault) in origin {
        let parent = if name.starts_with("IO") {
            "IOError"
        } else {
            "SystemCallError"
        };
        let classes = ["Mine", name, parent];
        let own = name.starts_with("OpenSSL") || name == "SocketError";
        assert_eq!(
            classify(&[driver(if own { &classes[..2] } else { &classes })]),
            fault,
            "{name}"
        );
        assert_eq!(classify(&[bare(&["Mine", name])]), None, "{name}");
        assert_eq!(interest(&["Mine", name]), Interest::Origin, "{name}");
    }
    assert!(table::CLASSES
        .iter()
        .all(|row| words.iter().any(|(name, _)| *name == row.name)));
    assert!(table::BARE
        .iter()
        .all(|row| origin.iter().any(|(name, _)| *name == row.name)));
}

#[test]
fn time_outs_without_a_code_are_left_to_others() {
    let timeout = &["Mysql2::Error::TimeoutError", "Mysql2::Error", "StandardError"];
    for link in [
        said(
            timeout,
            "Timeout waiting for a response from the last query. (waited 5 seconds)",
        ),
        said(TRILOGY_TIME, "trilogy_query_recv"),
    ] {
        assert_eq!(classify(&[bare(&["ActiveRecord::AdapterTimeout"]), link]), None);
        assert_eq!(classify(&[link]), None);
    }
    assert_eq!(
        classify(&[numbered(TRILOGY_TIME, 1205, "1205: Lock wait timeout exceeded")]),
        None
    );
    // While connecting it is another matter.
    let connecting = said(TRILOGY_TIME, "trilogy_connect - unable to connect to db:3306");
    assert_eq!(classify(&[bare(NOT_ESTABLISHED), connecting]), Some(Unreachable));
}

#[test]
fn a_bare_error_counts_only_from_inside_a_driver() {
    let reset = &["Errno::ECONNRESET", "SystemCallError", "StandardError"];
    let tls = &["OpenSSL::SSL::SSLError", "OpenSSL::OpenSSLError", "StandardError"];
    for classes in [&["IOError", "StandardError"][..], EOF, reset, tls] {
        assert_eq!(interest(classes), Interest::Origin);
        assert_eq!(classify(&[driver(classes)]), Some(Dead));
        assert_eq!(classify(&[bare(classes)]), None);
        assert_eq!(
            classify(&[said(classes, "server closed the connection unexpectedly")]),
            None
        );
    }
    assert_eq!(
        classify(&[driver(&["Errno::ECONNREFUSED", "SystemCallError"])]),
        Some(Unreachable)
    );
    assert_eq!(classify(&[driver(&["Errno::ENOENT", "SystemCallError"])]), None);
    assert_eq!(classify(&[driver(APPLICATION)]), None);
    assert_eq!(interest(APPLICATION), Interest::Nothing);
    assert_eq!(interest(INVALID), Interest::Nothing);
    // Trilogy's are known by their module, wherever they come from.
    let trilogy = &[
        "Trilogy::SyscallError::ECONNRESET",
        "Trilogy::ConnectionError",
        "Trilogy::Error",
        "Errno::ECONNRESET",
        "SystemCallError",
    ];
    assert_eq!(
        (classify(&[bare(trilogy)]), interest(trilogy)),
        (Some(Dead), Interest::Words)
    );
}
