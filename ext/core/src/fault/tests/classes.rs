//! Classes, exclusions and where an error was raised.

use super::*;

#[test]
fn each_class_of_the_table_has_its_verdict() {
    for rows in [table::EXCLUSIONS, table::CLASSES, table::BARE] {
        for row in rows {
            let expected = match row.says {
                Says::Is(fault) | Says::Leans(fault) | Says::AtLeast(fault) => Some(fault),
                Says::Innocent | Says::LeansInnocent | Says::Nothing => None,
            };
            assert_eq!(
                classify(&[driver(&["Mine", row.name, "StandardError"])]),
                expected,
                "{}",
                row.name
            );
            assert_ne!(interest(&["Mine", row.name]), Interest::Nothing, "{}", row.name);
        }
    }
}

#[test]
fn an_exclusion_is_not_undone_by_its_own_ancestors() {
    for row in table::EXCLUSIONS {
        let family = if row.name.starts_with("Trilogy") {
            "Trilogy::ConnectionError"
        } else {
            NOT_ESTABLISHED[0]
        };
        assert_eq!(
            classify(&[said(&[row.name, family], "connection is closed")]),
            None,
            "{}",
            row.name
        );
        assert_eq!(
            classify(&[bare(&["MyOwn", row.name, family])]),
            None,
            "a subclass of {}",
            row.name
        );
    }
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
