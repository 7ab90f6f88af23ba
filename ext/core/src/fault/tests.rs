//! One example a row, then what must not be mistaken, then the order within a link and along a chain.

use super::table;
use super::texts::{self, Text};
use super::{classify, has, interest, lowered, Fault, Interest, Link};
use Fault::{Dead, Demoted, Expired, Overloaded, Unreachable};

const BAD: &[&str] = &["PG::ConnectionBad", "PG::Error", "StandardError", "Exception", "Object"];
const UNABLE: &[&str] = &["PG::UnableToSend", "PG::Error", "StandardError", "Exception", "Object"];
const UNIQUE: &[&str] = &[
    "PG::UniqueViolation",
    "PG::IntegrityConstraintViolation",
    "PG::ServerError",
    "PG::Error",
    "StandardError",
];
const MYSQL2: &[&str] = &["Mysql2::Error", "StandardError", "Exception", "Object"];
const MYSQL2_LOST: &[&str] = &["Mysql2::Error::ConnectionError", "Mysql2::Error", "StandardError"];
const TRILOGY_QUERY: &[&str] = &[
    "Trilogy::QueryError",
    "Trilogy::ClientError",
    "Trilogy::BaseError",
    "Trilogy::Error",
];
const TRILOGY_TIME: &[&str] = &[
    "Trilogy::TimeoutError",
    "Trilogy::BaseConnectionError",
    "Trilogy::ConnectionError",
    "Trilogy::Error",
];
const NOT_ESTABLISHED: &[&str] = &[
    "ActiveRecord::ConnectionNotEstablished",
    "ActiveRecord::AdapterError",
    "ActiveRecord::ActiveRecordError",
];
const DATABASE: &[&str] = &[
    "ActiveRecord::DatabaseConnectionError",
    "ActiveRecord::ConnectionNotEstablished",
];
const FAILED: &[&str] = &[
    "ActiveRecord::ConnectionFailed",
    "ActiveRecord::QueryAborted",
    "ActiveRecord::StatementInvalid",
];
const INVALID: &[&str] = &["ActiveRecord::StatementInvalid", "ActiveRecord::AdapterError"];
const NO_DATABASE: &[&str] = &["ActiveRecord::NoDatabaseError", "ActiveRecord::StatementInvalid"];
const APPLICATION: &[&str] = &[
    "ArgumentError",
    "StandardError",
    "Exception",
    "Object",
    "Kernel",
    "BasicObject",
];
const EOF: &[&str] = &["EOFError", "IOError", "StandardError"];
const GONE: &str = "PQconsumeInput() server closed the connection unexpectedly\n";

fn said<'a>(classes: &'a [&'a str], text: &'a str) -> Link<'a> {
    Link {
        classes,
        text,
        ..Link::default()
    }
}

fn bare<'a>(classes: &'a [&'a str]) -> Link<'a> {
    said(classes, "")
}

fn numbered<'a>(classes: &'a [&'a str], number: i64, text: &'a str) -> Link<'a> {
    Link {
        classes,
        text,
        number: Some(number),
        ..Link::default()
    }
}

fn stated<'a>(classes: &'a [&'a str], sqlstate: &'a str) -> Link<'a> {
    Link {
        classes,
        sqlstate: Some(sqlstate),
        severity: Some("FATAL"),
        ..Link::default()
    }
}

fn driver<'a>(classes: &'a [&'a str]) -> Link<'a> {
    Link {
        classes,
        in_driver: true,
        ..Link::default()
    }
}

mod chains;
mod classes;
mod codes;
mod examples;
mod random;
mod words;
