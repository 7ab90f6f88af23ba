//! Texts.

use super::examples::{ACTIVE_RECORD, MYSQL, POSTGRES};
use super::*;

const HOST: &str = "connection to server at \"db\" (10.0.0.5), port 5432 failed: ";

/// Judges each example, and fails where a row of the table is reached by none.
fn judged(classes: &[&str], examples: &[(&str, Option<Fault>)], rows: &[Text]) {
    let mut reached = vec![false; rows.len()];
    for (text, fault) in examples {
        let text = text.replace("{}", HOST);
        assert_eq!(classify(&[said(classes, &text)]), *fault, "{text}");
        if let Some(row) = rows.iter().position(|row| has(&lowered(&text), row.words)) {
            reached[row] = true;
        }
    }
    let missed: Vec<_> = rows
        .iter()
        .zip(&reached)
        .filter(|(_, hit)| !**hit)
        .map(|(row, _)| row.words)
        .collect();
    assert!(missed.is_empty(), "no example reaches {missed:?}");
    assert!(rows
        .iter()
        .flat_map(|row| row.words)
        .all(|word| word.to_ascii_lowercase() == **word));
}

#[test]
fn each_text_of_the_table_has_its_verdict() {
    judged(BAD, POSTGRES, texts::POSTGRES);
    // Without a class to fall back on.
    judged(&["PG::Error", "StandardError"], POSTGRES, texts::POSTGRES);
    judged(TRILOGY_QUERY, MYSQL, texts::MYSQL);
    judged(MYSQL2, MYSQL, texts::MYSQL);
    // With a class that would say dead.
    judged(
        &["Trilogy::SSLError", "Trilogy::ConnectionError", "Trilogy::Error"],
        MYSQL,
        texts::MYSQL,
    );
    judged(NOT_ESTABLISHED, ACTIVE_RECORD, texts::ACTIVE_RECORD);
}

#[test]
fn a_drivers_complaint_about_its_caller_is_no_fault() {
    for text in [
        "This connection is in use by: #<Thread:0x00007f>",
        "Statement handle already closed",
    ] {
        assert_eq!(classify(&[said(MYSQL2, text)]), None, "{text}");
    }
}

#[test]
fn a_message_that_the_server_translated_is_judged_by_its_class() {
    assert_eq!(
        classify(&[said(BAD, "PQconsumeInput() FATAL:  Verbindung wird abgebrochen\n")]),
        Some(Dead)
    );
    assert_eq!(
        classify(&[said(
            &["PG::Error"],
            "PQconsumeInput() FATAL:  Verbindung wird abgebrochen\n"
        )]),
        None
    );
    let full = format!("{HOST}FATAL:  tut mir leid, schon zu viele Verbindungen\n");
    assert_eq!(classify(&[said(BAD, &full)]), Some(Unreachable));
}

#[test]
fn an_insert_all_with_too_many_values_is_no_fault_though_its_class_is() {
    assert_eq!(
        classify(&[
            bare(INVALID),
            said(UNABLE, "number of parameters must be between 0 and 65535\n")
        ]),
        None
    );
    assert_eq!(classify(&[bare(INVALID), said(UNABLE, "something new\n")]), Some(Dead));
}

#[test]
fn what_a_user_typed_never_makes_a_healthy_connection_dead() {
    for (text, _) in POSTGRES.iter().chain(MYSQL).chain(ACTIVE_RECORD) {
        let detail = format!("ERROR:  duplicate key\nDETAIL:  Key (title)=({text}) already exists.\n");
        let chains = [
            vec![said(
                &["ActiveRecord::RecordNotUnique", "ActiveRecord::StatementInvalid"],
                &detail,
            )],
            vec![
                said(INVALID, &detail),
                Link {
                    text: &detail,
                    severity: Some("ERROR"),
                    ..stated(UNIQUE, "23505")
                },
            ],
            // The result was cleared, and the SQLSTATE with it.
            vec![said(INVALID, &detail), said(UNIQUE, &detail)],
            vec![said(INVALID, &detail), numbered(MYSQL2, 1062, &detail)],
            vec![numbered(&["Trilogy::ProtocolError", "Trilogy::Error"], 1062, &detail)],
            vec![said(APPLICATION, &detail)],
            vec![Link {
                in_driver: true,
                ..said(APPLICATION, &detail)
            }],
        ];
        for chain in &chains {
            assert_eq!(classify(chain), None, "{chain:?}");
        }
    }
}

#[test]
fn no_text_and_no_class_makes_it_panic() {
    // xorshift with a fixed seed: the same texts in every run.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let classes = [
        BAD,
        UNABLE,
        UNIQUE,
        MYSQL2,
        MYSQL2_LOST,
        TRILOGY_QUERY,
        NOT_ESTABLISHED,
        FAILED,
        APPLICATION,
        EOF,
        &[],
    ];
    let pieces = [
        "fatal: ",
        "connection to server ",
        " failed: ",
        "é",
        "\u{10FFFF}",
        "terminating",
        "\" does not exist",
    ];
    for _ in 0..2_000 {
        let length = (next() % 3_000) as usize;
        let mut bytes: Vec<u8> = (0..length / 8).flat_map(|_| next().to_le_bytes()).collect();
        bytes.extend_from_slice(pieces[(next() % 7) as usize].as_bytes());
        let text = String::from_utf8_lossy(&bytes);
        let state = text.get(..(next() % 8) as usize);
        let mut links = Vec::new();
        for _ in 0..next() % 4 {
            let number = (next() % 4 == 0).then(|| next() as i64 % 10_000);
            let classes = classes[(next() % 11) as usize];
            let sqlstate = if next() % 4 == 0 { state } else { None };
            links.push(Link {
                classes,
                sqlstate,
                number,
                severity: None,
                text: &text,
                in_driver: next() % 2 == 0,
            });
        }
        let _ = classify(&links);
    }
}

#[test]
fn only_the_beginning_of_a_text_is_looked_at() {
    for filler in ["x", "é", "\u{10FFFF}"] {
        let long = format!(
            "{}terminating connection due to idle-session timeout",
            filler.repeat(2_000)
        );
        assert_eq!(classify(&[said(BAD, &long)]), Some(Dead), "the class is what is left");
    }
}
