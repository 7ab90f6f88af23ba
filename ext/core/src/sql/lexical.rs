//! What a statement does to its connection's transaction, by its first words.
//!
//! The drivers know whether a transaction is open and do not tell. A prepared statement is always one statement, so its
//! first words tell too; what they leave in doubt is taken for an open transaction, which costs a round trip in the
//! background and nothing else.

/// What a statement does to the transaction around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Leaves it as it is.
    None,
    /// Begins one.
    Begins,
    /// Ends one.
    Ends,
    /// Goes back to a savepoint, from which it may go on.
    Returns,
    /// Nobody can tell: a procedure may do anything.
    Unknown,
}

/// Statements that begin or end no transaction, on any of the three databases.
const HARMLESS: [&str; 14] = [
    "select", "insert", "update", "delete", "with", "values", "table", "show", "explain", "merge", "replace", "create",
    "drop", "alter",
];

/// Tells what a statement does to the transaction around it.
pub fn effect(sql: &str) -> Effect {
    let Some(code) = without_comments(sql) else {
        return Effect::Unknown;
    };
    if code.is_empty() {
        return Effect::None;
    }
    let (first, rest) = word(code);
    if HARMLESS.contains(&first.as_str()) {
        return Effect::None;
    }
    match first.as_str() {
        "begin" | "start" => Effect::Begins,
        // In SQLite the first savepoint begins a transaction, and its release ends it.
        "savepoint" | "release" => Effect::Unknown,
        "commit" | "end" | "abort" | "rollback" => ends(rest),
        _ => Effect::Unknown,
    }
}

/// Whether a statement asks for notifications.
pub fn listens(sql: &str) -> bool {
    without_comments(sql).is_some_and(|code| word(code).0 == "listen")
}

/// What follows the word that ends a transaction may begin the next one, or be about something else.
fn ends(mut sql: &str) -> Effect {
    let mut no = false;
    loop {
        let Some(code) = without_comments(sql) else {
            return Effect::Unknown;
        };
        let (next, rest) = word(code);
        match next.as_str() {
            "" => return Effect::Ends,
            "no" => no = true,
            "chain" if !no => return Effect::Begins,
            "to" => return Effect::Returns,
            // What another session has prepared.
            "prepared" => return Effect::None,
            _ => {}
        }
        sql = rest;
    }
}

/// The first word, in lower case, and what follows it.
fn word(code: &str) -> (String, &str) {
    let end = code.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let (word, rest) = code.split_at(end.unwrap_or(code.len()));
    (word.to_ascii_lowercase(), rest)
}

/// A statement from its first code on; none where the databases disagree about what is a comment.
fn without_comments(mut sql: &str) -> Option<&str> {
    loop {
        sql = sql.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '(' || letter == ';');
        if let Some(rest) = sql.strip_prefix("--").or_else(|| sql.strip_prefix('#')) {
            sql = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(rest) = sql.strip_prefix("/*") {
            let (comment, code) = rest.split_once("*/")?;
            // PostgreSQL's comments may stand within each other, and MySQL executes some of its own.
            if comment.contains("/*") || comment.starts_with(['!', 'M']) {
                return None;
            }
            sql = code;
        } else {
            return Some(sql);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_statements_change_nothing() {
        for sql in [
            "select 1",
            " SELECT begin FROM t",
            "insert into t values (1)",
            "(select 1)",
            "",
            "-- nothing",
            ";",
        ] {
            assert_eq!(effect(sql), Effect::None, "{sql}");
        }
    }

    #[test]
    fn a_transaction_begins_and_ends_by_its_first_words() {
        for sql in [
            "BEGIN",
            "begin isolation level serializable",
            "start transaction",
            "/* a */ Begin",
            "-- a\nBEGIN",
        ] {
            assert_eq!(effect(sql), Effect::Begins, "{sql}");
        }
        for sql in [
            "COMMIT",
            "commit work",
            "END",
            "ROLLBACK",
            "abort;",
            "rollback and no chain",
        ] {
            assert_eq!(effect(sql), Effect::Ends, "{sql}");
        }
        assert_eq!(effect("COMMIT AND CHAIN"), Effect::Begins);
        assert_eq!(effect("ROLLBACK TO SAVEPOINT a"), Effect::Returns);
        assert_eq!(effect("COMMIT PREPARED 'a'"), Effect::None);
    }

    #[test]
    fn what_may_do_anything_is_in_doubt() {
        for sql in [
            "call pay(1)",
            "do $$ begin end $$",
            "set autocommit = 0",
            "/*! BEGIN */",
            "xa start 'a'",
            "savepoint a",
            "€",
        ] {
            assert_eq!(effect(sql), Effect::Unknown, "{sql}");
        }
    }

    #[test]
    fn comments_that_are_read_in_two_ways_are_in_doubt() {
        for sql in [
            "/* /* */ COMMIT */ BEGIN",
            "/* never ends BEGIN",
            "/*M! BEGIN */ select 1",
        ] {
            assert_eq!(effect(sql), Effect::Unknown, "{sql}");
        }
        assert_eq!(effect("COMMIT /* AND CHAIN */"), Effect::Ends);
    }
}
