//! Order along a chain.

use super::*;

#[test]
fn the_drivers_error_decides_over_its_wrapper() {
    let refused = "connection to server at \"db\", port 5432 failed: FATAL:  ";
    let with = |words: &str| format!("{refused}{words}\n");
    let cases = [
        (FAILED, with("password authentication failed for user \"app\""), None),
        (DATABASE, with("password authentication failed for user \"app\""), None),
        (
            NOT_ESTABLISHED,
            with("sorry, too many clients already"),
            Some(Overloaded),
        ),
        (
            NOT_ESTABLISHED,
            with("the database system is starting up"),
            Some(Unreachable),
        ),
        (NOT_ESTABLISHED, "connection is closed".to_owned(), Some(Dead)),
        (
            NOT_ESTABLISHED,
            "PQsocket() can't get socket descriptor".to_owned(),
            Some(Dead),
        ),
        (FAILED, GONE.to_owned(), Some(Dead)),
        (INVALID, GONE.to_owned(), Some(Dead)),
    ];
    for (wrapper, text, fault) in cases {
        assert_eq!(classify(&[said(wrapper, &text), said(BAD, &text)]), fault, "{text}");
    }
    assert_eq!(
        classify(&[bare(NOT_ESTABLISHED), said(MYSQL2, "MySQL client is not connected")]),
        Some(Dead)
    );
    assert_eq!(
        classify(&[bare(DATABASE), numbered(MYSQL2_LOST, 1045, "Access denied")]),
        None
    );
    assert_eq!(
        classify(&[bare(DATABASE), numbered(MYSQL2_LOST, 2003, "Can't connect")]),
        Some(Unreachable)
    );
    assert_eq!(
        classify(&[bare(NOT_ESTABLISHED), numbered(MYSQL2, 1040, "Too many connections")]),
        Some(Overloaded)
    );
}

#[test]
fn a_wrapper_has_its_way_where_the_driver_is_at_a_loss() {
    let foreign = "PQconsumeInput() FATAL:  Verbindung wird abgebrochen\n";
    assert_eq!(classify(&[bare(FAILED), said(BAD, foreign)]), Some(Dead));
    assert_eq!(classify(&[bare(DATABASE), said(BAD, foreign)]), Some(Unreachable));
    assert_eq!(
        classify(&[bare(NO_DATABASE), said(BAD, "FATAL:  Datenbank existiert nicht\n")]),
        None
    );
    assert_eq!(classify(&[bare(FAILED)]), Some(Dead));
    assert_eq!(classify(&[bare(DATABASE)]), Some(Unreachable));
    // 8.0 gives a connection up that has lost its database (1046).
    assert_eq!(
        classify(&[bare(FAILED), numbered(MYSQL2, 1046, "No database selected")]),
        Some(Dead)
    );
    assert_eq!(
        classify(&[bare(INVALID), numbered(MYSQL2, 1046, "No database selected")]),
        None
    );
    assert_eq!(classify(&[bare(FAILED), driver(EOF)]), Some(Dead));
}

#[test]
fn a_refused_connect_to_a_host_named_like_its_database_is_no_missing_database() {
    // 6.1 to 8.1 look for the database's name anywhere in the message.
    let text = "connection to server at \"orders-db\" (10.0.0.5), port 5432 failed: Connection refused\n";
    assert_eq!(classify(&[bare(NO_DATABASE), said(BAD, text)]), Some(Unreachable));
    let missing =
        "connection to server at \"orders-db\", port 5432 failed: FATAL:  database \"orders\" does not exist\n";
    assert_eq!(classify(&[bare(NO_DATABASE), said(BAD, missing)]), None);
}

#[test]
fn a_read_only_server_is_found_beneath_a_plain_statement_error() {
    let text = "The MySQL server is running with the --read-only option so it cannot execute this statement";
    assert_eq!(
        classify(&[said(INVALID, text), numbered(MYSQL2, 1290, text)]),
        Some(Demoted)
    );
    let link = Link {
        severity: Some("ERROR"),
        ..stated(&["PG::ReadOnlySqlTransaction", "PG::ServerError", "PG::Error"], "25006")
    };
    assert_eq!(classify(&[bare(INVALID), link]), Some(Demoted));
    assert_eq!(
        classify(&[bare(&[
            "ActiveRecord::ReadOnlyError",
            "ActiveRecord::ActiveRecordError"
        ])]),
        None
    );
    assert_eq!(
        classify(&[bare(&["SQLite3::ReadOnlyException", "SQLite3::Exception"])]),
        None
    );
}

#[test]
fn an_applications_error_raised_in_the_rescue_of_a_dead_connection_is_about_that_connection() {
    assert_eq!(
        classify(&[bare(APPLICATION), bare(FAILED), said(BAD, GONE)]),
        Some(Dead)
    );
    assert_eq!(
        classify(&[
            bare(APPLICATION),
            bare(APPLICATION),
            bare(INVALID),
            numbered(MYSQL2_LOST, 2013, "")
        ]),
        Some(Dead)
    );
    // A mistake of the client's, too: nothing was sent, nothing is known to have healed.
    assert_eq!(
        classify(&[bare(&["ActiveRecord::ReadOnlyError"]), bare(FAILED), said(BAD, GONE)]),
        Some(Dead)
    );
}

#[test]
fn an_answer_of_the_server_is_later_than_the_death_that_was_rescued_before() {
    let unique = Link {
        severity: Some("ERROR"),
        ..stated(UNIQUE, "23505")
    };
    let not_unique = bare(&["ActiveRecord::RecordNotUnique", "ActiveRecord::StatementInvalid"]);
    assert_eq!(classify(&[not_unique, unique, bare(FAILED), said(BAD, GONE)]), None);
    assert_eq!(
        classify(&[
            not_unique,
            numbered(MYSQL2, 1062, ""),
            bare(FAILED),
            numbered(MYSQL2_LOST, 2013, "")
        ]),
        None
    );
    assert_eq!(
        classify(&[
            bare(INVALID),
            numbered(MYSQL2, 1213, "Deadlock"),
            bare(FAILED),
            said(BAD, GONE)
        ]),
        None
    );
}

#[test]
fn an_exhausted_pool_is_not_charged_with_the_death_it_was_reached_over() {
    let timeout = bare(&[
        "ActiveRecord::ConnectionTimeoutError",
        "ActiveRecord::ConnectionNotEstablished",
    ]);
    assert_eq!(classify(&[timeout, bare(FAILED), said(BAD, GONE)]), None);
    assert_eq!(classify(&[bare(APPLICATION), timeout]), None);
}

#[test]
fn the_latest_fault_wins() {
    let refused = said(
        BAD,
        "connection to server at \"db\", port 5432 failed: Connection refused\n",
    );
    assert_eq!(
        classify(&[bare(DATABASE), refused, bare(FAILED), said(BAD, GONE)]),
        Some(Unreachable)
    );
    assert_eq!(
        classify(&[bare(FAILED), said(BAD, GONE), bare(DATABASE), refused]),
        Some(Dead)
    );
}

#[test]
fn a_connection_that_the_server_gave_up_by_its_own_limits_is_no_incident_when_its_rollback_fails_too() {
    let rollback = said(BAD, "PQsocket() can't get socket descriptor");
    let limit = said(
        BAD,
        "PQconsumeInput() FATAL:  terminating connection due to idle-in-transaction timeout\n",
    );
    assert_eq!(
        classify(&[bare(INVALID), rollback, bare(INVALID), limit]),
        Some(Expired)
    );
    assert_eq!(
        classify(&[numbered(MYSQL2_LOST, 2006, ""), numbered(MYSQL2, 4031, "")]),
        Some(Expired)
    );
    // Whatever else is beneath, it was met dead.
    let full = said(BAD, "FATAL:  sorry, too many clients already\n");
    for older in [
        full,
        bare(&["ActiveRecord::ConnectionTimeoutError"]),
        numbered(MYSQL2, 1062, ""),
        bare(APPLICATION),
    ] {
        assert_eq!(classify(&[bare(NOT_ESTABLISHED), rollback, older]), Some(Dead));
    }
}

#[test]
fn a_closed_sqlite_database_is_never_dead() {
    let closed = said(
        &["SQLite3::Exception", "StandardError"],
        "cannot prepare: called on a closed database",
    );
    assert_eq!(classify(&[bare(NOT_ESTABLISHED), closed]), None);
    assert_eq!(
        classify(&[bare(INVALID), bare(&["SQLite3::BusyException", "SQLite3::Exception"])]),
        None
    );
}

#[test]
fn nothing_is_said_of_nothing() {
    assert_eq!(classify(&[]), None);
    assert_eq!(classify(&[Link::default()]), None);
    assert_eq!(classify(&[bare(INVALID)]), None);
}

#[test]
fn every_fault_is_found_by_its_name() {
    for fault in Fault::ALL {
        assert_eq!(Fault::named(fault.as_str()), Some(fault));
    }
    assert_eq!(Fault::named("alive"), None);
}

#[test]
fn an_error_that_the_table_does_not_ask_for_changes_no_verdict() {
    let chain = [bare(APPLICATION), bare(INVALID), said(BAD, GONE)];
    let asked: Vec<_> = chain
        .iter()
        .filter(|link| interest(link.classes) != Interest::Nothing)
        .copied()
        .collect();
    assert_eq!((asked.len(), classify(&asked)), (1, classify(&chain)));
}
