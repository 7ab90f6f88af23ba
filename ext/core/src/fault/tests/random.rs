//! Real messages, spoilt at random from a fixed seed: the table answers whatever it is given, and what it may never
//! take for a fault stays none.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::super::TEXT_LIMIT;
use super::*;

const CHAINS: u32 = 4_000;
const CLASSES: &[&[&str]] = &[
    BAD,
    UNABLE,
    UNIQUE,
    MYSQL2,
    MYSQL2_LOST,
    TRILOGY_QUERY,
    TRILOGY_TIME,
    NOT_ESTABLISHED,
    DATABASE,
    FAILED,
    INVALID,
    NO_DATABASE,
    APPLICATION,
    EOF,
];
const STATES: &[&str] = &[
    "", "00000", "08006", "23505", "25006", "40001", "57P01", "57P03", "53300", "H", "ÄÖ",
];

/// An error as somebody may hand it in.
#[derive(Debug, Clone)]
struct Told {
    classes: &'static [&'static str],
    sqlstate: Option<String>,
    number: Option<i64>,
    severity: Option<&'static str>,
    text: String,
    in_driver: bool,
}

impl Told {
    fn link(&self) -> Link<'_> {
        Link {
            classes: self.classes,
            sqlstate: self.sqlstate.as_deref(),
            number: self.number,
            severity: self.severity,
            text: &self.text,
            in_driver: self.in_driver,
        }
    }
}

fn real() -> impl Strategy<Value = String> {
    let all = [examples::POSTGRES, examples::MYSQL, examples::ACTIVE_RECORD].concat();
    let texts: Vec<String> = all.iter().map(|(text, _)| (*text).to_owned()).collect();
    prop::sample::select(texts)
}

/// A real message with something else in it, or twice, or cut off, or behind so much that its end is not looked at.
fn spoilt() -> impl Strategy<Value = String> {
    (real(), any::<String>(), any::<prop::sample::Index>(), 0..6_u8).prop_map(|(text, other, place, how)| {
        let mut at = place.index(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        match how {
            0 => text,
            1 => format!("{}{other}{}", &text[..at], &text[at..]),
            2 => text[at..].to_owned(),
            3 => text[..at].to_owned(),
            4 => text.repeat(3),
            _ => format!("{}{text}", "ß".repeat((TEXT_LIMIT + at).saturating_sub(text.len()) / 2)),
        }
    })
}

fn told() -> impl Strategy<Value = Told> {
    let state = prop_oneof![
        Just(None),
        prop::sample::select(STATES).prop_map(|state| Some(state.to_owned())),
        any::<String>().prop_map(Some),
    ];
    let number = prop_oneof![Just(None), (0..6_000_i64).prop_map(Some), any::<i64>().prop_map(Some)];
    let severity = prop::sample::select(&[None, Some("ERROR"), Some("FATAL"), Some("PANIC"), Some("")][..]);
    let parts = (
        prop::sample::select(CLASSES),
        state,
        number,
        severity,
        spoilt(),
        any::<bool>(),
    );
    parts.prop_map(|(classes, sqlstate, number, severity, text, in_driver)| Told {
        classes,
        sqlstate,
        number,
        severity,
        text,
        in_driver,
    })
}

fn check(chain: &[Told], words: &str) -> Result<(), TestCaseError> {
    let links: Vec<Link<'_>> = chain.iter().map(Told::link).collect();
    let judged = classify(&links);
    let after = |first: Link<'_>| classify(&[&[first], &links[..]].concat());
    // A server that says so is well, whatever its words quote, and whatever broke before.
    let answer = Link {
        sqlstate: Some("23505"),
        severity: Some("ERROR"),
        ..said(UNIQUE, words)
    };
    prop_assert_eq!(after(answer), None);
    prop_assert_eq!(after(numbered(MYSQL2, 1062, words)), None);
    // An application's error says nothing.
    prop_assert_eq!(after(said(APPLICATION, words)), judged);
    // Nor does what stands too far behind, and capitals say as much as small letters.
    let loud: Vec<Told> = chain
        .iter()
        .map(|told| Told {
            text: format!("{:TEXT_LIMIT$}{words}", told.text.to_ascii_uppercase()),
            ..told.clone()
        })
        .collect();
    prop_assert_eq!(classify(&loud.iter().map(Told::link).collect::<Vec<_>>()), judged);
    Ok(())
}

#[test]
fn whatever_it_is_given_the_table_keeps_its_rules() {
    let config = Config {
        cases: CHAINS,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let chains = (prop::collection::vec(told(), 0..4), spoilt());
    if let Err(failure) = runner.run(&chains, |(chain, words)| check(&chain, &words)) {
        panic!("{failure}");
    }
}
