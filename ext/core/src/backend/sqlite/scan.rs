//! What the driver does not tell about a statement before it runs: its parameters, and whether it changes rows.
//!
//! The rules are those of SQLite's tokenizer (<https://sqlite.org/lang_keywords.html>, `src/tokenize.c`).

use super::super::{Failure, Kind};

/// What a statement is.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// How many parameters it takes.
    pub parameters: usize,
    /// Whether it changes rows.
    pub writes: bool,
}

/// The most parameters that SQLite takes in a statement.
const MOST: usize = 32_766;
const WRITING: [&str; 4] = ["insert", "update", "delete", "replace"];

/// Reads a statement.
///
/// # Errors
///
/// A failure of [`Kind::Value`] for parameters with names, and for more than one statement: the driver would run all of
/// them, each with the parameters of the first.
pub fn scan(sql: &str) -> Result<Found, Failure> {
    let mut scan = Scan::default();
    let mut rest = sql;
    while let Some(first) = rest.bytes().next() {
        rest = scan.token(first, rest)?;
    }
    Ok(Found {
        parameters: scan.numbered.max(scan.unnumbered),
        writes: scan.verb.is_some_and(|verb| WRITING.contains(&verb.as_str())),
    })
}

#[derive(Default)]
struct Scan {
    numbered: usize,
    unnumbered: usize,
    /// How many parentheses are open.
    depth: usize,
    /// The words at the beginning, until the verb is found.
    first: Option<String>,
    second: String,
    verb: Option<String>,
    /// Whether a trigger is being made, in which statements stand within the statement.
    trigger: bool,
    words: usize,
    ended: bool,
}

impl Scan {
    /// Takes one token, and returns what follows it.
    fn token<'a>(&mut self, first: u8, rest: &'a str) -> Result<&'a str, Failure> {
        let after = match first {
            _ if first.is_ascii_whitespace() => return Ok(&rest[1..]),
            b'-' if rest.starts_with("--") => return Ok(rest.split_once('\n').map_or("", |(_, rest)| rest)),
            b'/' if rest.starts_with("/*") => return Ok(rest[2..].split_once("*/").map_or("", |(_, rest)| rest)),
            b';' => {
                self.ended |= self.words > 0 && !self.trigger;
                return Ok(&rest[1..]);
            }
            _ if self.ended => {
                return Err(Failure::new(
                    Kind::Value,
                    "there is more than one statement; give them one at a time",
                ))
            }
            // Doubled within itself, the quote stands for itself: two strings are as good as one.
            b'\'' | b'"' | b'`' => after_quote(&rest[1..], char::from(first)),
            b'[' => after_quote(&rest[1..], ']'),
            b'?' => self.parameter(&rest[1..], true)?,
            b'$' => self.parameter(&rest[1..], false)?,
            b':' | b'@' if rest[1..].starts_with(is_of_word) => return Err(named(rest)),
            b'(' => {
                self.depth += 1;
                &rest[1..]
            }
            b')' => {
                self.depth = self.depth.saturating_sub(1);
                &rest[1..]
            }
            _ if first.is_ascii_alphabetic() || first == b'_' || !first.is_ascii() => {
                let end = rest.find(|letter| !is_of_word(letter)).unwrap_or(rest.len());
                self.word(&rest[..end]);
                &rest[end..]
            }
            // Numbers are not cut in two: 1e5 holds no word.
            _ if first.is_ascii_digit() => rest.trim_start_matches(is_of_word),
            _ => &rest[1..],
        };
        self.words += 1;
        Ok(after)
    }

    fn parameter<'a>(&mut self, rest: &'a str, bare: bool) -> Result<&'a str, Failure> {
        let end = rest.find(|letter| !is_of_word(letter)).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(end);
        if digits.is_empty() && bare {
            self.unnumbered += 1;
            return Ok(after);
        }
        match digits.parse::<usize>() {
            Ok(number @ 1..=MOST) => self.numbered = self.numbered.max(number),
            _ => return Err(named(rest)),
        }
        Ok(after)
    }

    fn word(&mut self, word: &str) {
        let word = word.to_ascii_lowercase();
        let Some(first) = &self.first else {
            if word != "with" {
                self.verb = Some(word.clone());
            }
            self.first = Some(word);
            return;
        };
        let temporary = self.words == 2 && matches!(self.second.as_str(), "temp" | "temporary");
        self.trigger |= first == "create" && word == "trigger" && (self.words == 1 || temporary);
        if self.words == 1 {
            self.second.clone_from(&word);
        }
        let is_verb = WRITING.contains(&word.as_str()) || word == "select" || word == "values";
        if self.verb.is_none() && self.depth == 0 && is_verb {
            self.verb = Some(word);
        }
    }
}

fn is_of_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '$' || !letter.is_ascii()
}

fn after_quote(rest: &str, quote: char) -> &str {
    rest.split_once(quote).map_or("", |(_, rest)| rest)
}

fn named(rest: &str) -> Failure {
    let end = rest[1.min(rest.len())..]
        .find(|letter| !is_of_word(letter))
        .map_or(rest.len(), |end| end + 1);
    let text = format!(
        "the parameter {} is not written with a number from 1 to {MOST}; write $1, ?1 or ?",
        rest[..end].trim_start_matches([':', '@'])
    );
    Failure::new(Kind::Value, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(sql: &str) -> Option<usize> {
        scan(sql).ok().map(|found| found.parameters)
    }

    #[test]
    fn parameters_are_counted_by_their_highest_number() {
        assert_eq!(parameters("select 1"), Some(0));
        assert_eq!(parameters("select ?, ?"), Some(2));
        assert_eq!(parameters("select $2, $1, $2"), Some(2));
        assert_eq!(parameters("select $2"), Some(2));
        assert_eq!(parameters("select ?3 + ?"), Some(3));
        assert_eq!(parameters("select x$1 from t"), Some(0));
    }

    #[test]
    fn what_is_quoted_or_a_comment_holds_no_parameters() {
        for sql in [
            "select '?', '$1', 'it''s ?'",
            "select \"?\", `$1`, [?] from t",
            "select 1 -- ?\n, 2",
            "select /* ? ; */ 1",
            "select 'never ends ?",
            "select x'3f'",
        ] {
            assert_eq!(parameters(sql), Some(0), "{sql}");
        }
    }

    #[test]
    fn parameters_that_the_driver_cannot_place_are_refused() {
        for sql in [
            "select :a",
            "select @a",
            "select $a",
            "select $0",
            "select ?0",
            "select $",
            "select ?40000",
            "select ?1a",
        ] {
            assert_eq!(scan(sql).err().map(|failure| failure.kind), Some(Kind::Value), "{sql}");
        }
    }

    #[test]
    fn one_statement_is_taken_and_two_are_not() {
        for sql in [
            "select 1;",
            ";; select 1 ; -- that was all",
            "CREATE TRIGGER a AFTER INSERT ON t BEGIN DELETE FROM u; DELETE FROM v; END;",
            "create temp trigger a after insert on t begin delete from u; end",
            "",
        ] {
            assert!(scan(sql).is_ok(), "{sql}");
        }
        for sql in [
            "select 1; drop table t",
            "select 1;;'a'",
            "select 1;(",
            "create table trigger (a); select 1",
        ] {
            assert!(scan(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn whether_rows_are_changed_is_told_by_the_verb() {
        let writes = |sql| scan(sql).ok().map(|found| found.writes);
        for sql in [
            "INSERT INTO t SELECT 1",
            "/* a */ update t set a = 1",
            "replace into t values (1)",
            "with a as (select 1) delete from t",
            "with a(b) as (select 1), c as (select 2) insert into t select * from a",
        ] {
            assert_eq!(writes(sql), Some(true), "{sql}");
        }
        for sql in [
            "select 1",
            "create table t (a)",
            "with a as (select 1) select * from a",
            "explain insert into t values (1)",
            "pragma user_version",
        ] {
            assert_eq!(writes(sql), Some(false), "{sql}");
        }
    }
}
