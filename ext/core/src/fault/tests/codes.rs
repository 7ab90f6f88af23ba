//! SQLSTATE and numbers.

use super::*;

#[test]
fn each_sqlstate_of_the_table_has_its_verdict() {
    let expected = [
        ("57P01", Dead),
        ("57P02", Dead),
        ("57P03", Unreachable),
        ("57P04", Dead),
        ("57P05", Expired),
        ("25P03", Expired),
        ("25P04", Expired),
        ("08000", Dead),
        ("08001", Dead),
        ("08003", Dead),
        ("08004", Dead),
        ("08006", Dead),
        ("08007", Dead),
        ("08P01", Dead),
        ("53300", Overloaded),
        ("25006", Demoted),
    ];
    for (state, fault) in expected {
        assert_eq!(
            classify(&[
                bare(INVALID),
                stated(&["PG::SomeError", "PG::ServerError", "PG::Error"], state)
            ]),
            Some(fault),
            "{state}"
        );
        assert_eq!(
            classify(&[stated(&[], state)]),
            Some(fault),
            "{state} of a native connection"
        );
    }
    assert!(table::STATES
        .iter()
        .all(|row| expected.iter().any(|(state, _)| state.starts_with(row.prefix))));
}

#[test]
fn any_other_sqlstate_says_nothing_even_with_a_class_and_a_text_that_would() {
    for state in [
        "23505", "40001", "40P01", "57014", "55P03", "42601", "3D000", "28P01", "53200", "25001", "57000",
    ] {
        assert_eq!(
            classify(&[Link {
                text: GONE,
                ..stated(BAD, state)
            }]),
            None,
            "{state}"
        );
    }
}

#[test]
fn a_state_that_ends_sessions_says_nothing_where_the_session_lives() {
    // postgres_fdw and dblink hand on what happened to their connection; 08P01 is a wrong number of bind values.
    for state in ["08006", "08001", "08P01", "57P01", "53300"] {
        assert_eq!(
            classify(&[Link {
                severity: Some("ERROR"),
                ..stated(&["PG::ServerError", "PG::Error"], state)
            }]),
            None,
            "{state}"
        );
        assert!(
            classify(&[Link {
                severity: None,
                ..stated(&["PG::ServerError", "PG::Error"], state)
            }])
            .is_some(),
            "{state}"
        );
    }
    assert_eq!(
        classify(&[Link {
            severity: Some("ERROR"),
            ..stated(&[], "25006")
        }]),
        Some(Demoted)
    );
}

#[test]
fn each_number_of_the_table_has_its_verdict() {
    let dead = [
        1053, 1077, 1079, 1152, 1153, 1154, 1155, 1156, 1157, 1158, 1159, 1160, 1161, 1184, 1927, 2006, 2013, 2014,
        2020, 2026, 2027, 2048, 2055, 3169,
    ];
    let none = [
        1044, 1045, 1049, 1130, 1205, 1213, 1251, 1698, 1862, 2007, 2009, 2047, 2049, 2054, 2059, 2061, 3024, 3118,
        3159, 4151,
    ];
    let unknown = [
        1046,
        1062,
        1064,
        1128,
        1162,
        1226,
        1290,
        1317,
        2000,
        2057,
        5001,
        -1,
        i64::MAX,
        i64::MIN,
    ];
    let unreachable = [1129, 2001, 2002, 2003, 2004, 2005, 2012, 3032, 3168, 9001];
    let mut seen = Vec::new();
    for (fault, numbers) in [
        (Some(Dead), &dead[..]),
        (None, &none[..]),
        (None, &unknown[..]),
        (Some(Unreachable), &unreachable[..]),
        (Some(Demoted), &[1792, 1836, 1874]),
        (Some(Overloaded), &[1040, 1203]),
        (Some(Expired), &[4031]),
    ] {
        for number in numbers {
            assert_eq!(classify(&[numbered(MYSQL2, *number, "words")]), fault, "{number}");
            assert_eq!(
                classify(&[
                    bare(INVALID),
                    numbered(&["Trilogy::ProtocolError", "Trilogy::Error"], *number, "words")
                ]),
                fault,
                "{number}"
            );
            seen.push(*number);
        }
    }
    // Over a wrapper that leans to a fault, what is known to be none and what is unknown part.
    for number in none {
        assert_eq!(
            classify(&[bare(NOT_ESTABLISHED), numbered(MYSQL2, number, "words")]),
            None,
            "{number}"
        );
    }
    for number in unknown {
        assert_eq!(
            classify(&[bare(NOT_ESTABLISHED), numbered(MYSQL2, number, "words")]),
            Some(Unreachable),
            "{number}"
        );
    }
    assert!(
        table::NUMBERS
            .iter()
            .all(|row| seen.contains(&row.from) && seen.contains(&row.to)),
        "a number without an example"
    );
}

#[test]
fn some_numbers_depend_on_their_words() {
    let running = |option: &str| {
        format!("The MySQL server is running with the {option} option so it cannot execute this statement")
    };
    for option in ["--read-only", "--super-read-only", "--READ-ONLY", "read_only"] {
        assert_eq!(
            classify(&[bare(INVALID), numbered(MYSQL2, 1290, &running(option))]),
            Some(Demoted),
            "{option}"
        );
    }
    for option in ["--secure-file-priv", "--skip-grant-tables"] {
        assert_eq!(
            classify(&[bare(INVALID), numbered(MYSQL2, 1290, &running(option))]),
            None,
            "{option}"
        );
    }
    let cases = [
        (
            2013,
            "Lost connection to MySQL server at 'reading initial communication packet', system error: 0",
            Some(Unreachable),
        ),
        (
            2055,
            "Lost connection to server at 'handshake: reading initial communication packet', system error: 11",
            Some(Unreachable),
        ),
        (2013, "Lost connection to MySQL server during query", Some(Dead)),
        (
            2026,
            "TLS/SSL error: self-signed certificate in certificate chain",
            None,
        ),
        (
            2026,
            "SSL connection error: SSL is required, but the server does not support it",
            None,
        ),
        (2026, "TLS/SSL error: unexpected eof while reading", Some(Dead)),
        (
            1226,
            "User 'app' has exceeded the 'max_user_connections' resource (current value: 5)",
            Some(Overloaded),
        ),
        (
            1226,
            "User 'app' has exceeded the 'max_questions' resource (current value: 5)",
            None,
        ),
    ];
    for (number, text, fault) in cases {
        assert_eq!(classify(&[numbered(MYSQL2_LOST, number, text)]), fault, "{text}");
    }
}

#[test]
fn the_number_wins_over_mysqls_coarse_sqlstate() {
    // 1040 comes with 08004, 1158 with 08S01.
    assert_eq!(
        classify(&[Link {
            sqlstate: Some("08004"),
            ..numbered(MYSQL2, 1040, "")
        }]),
        Some(Overloaded)
    );
    assert_eq!(
        classify(&[Link {
            sqlstate: Some("08S01"),
            ..numbered(MYSQL2, 1047, "")
        }]),
        None
    );
    // Without a number HY000 says nothing, and the text has its turn.
    for number in [None, Some(0)] {
        let link = Link {
            sqlstate: Some("HY000"),
            number,
            ..said(MYSQL2, "MySQL client is not connected")
        };
        assert_eq!(classify(&[link]), Some(Dead));
    }
}
