//! Values as SQLite stores them: integers, floating-point numbers, text and bytes.

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Encode, Sqlite, Type};

use super::super::{times, Failure, Kind};
use crate::sql::Value;

/// Decimal digits that a floating-point number always keeps.
const EXACT: usize = 15;

/// Writes each value; there must be as many as the statement has parameters.
pub fn arguments(values: Vec<Value>, wanted: usize) -> Result<SqliteArguments, Failure> {
    if values.len() != wanted {
        return Err(Failure::wrong_count(wanted, values.len()));
    }
    let mut arguments = SqliteArguments::default();
    for (place, value) in values.into_iter().enumerate() {
        let kind = value.kind();
        add(&mut arguments, value).map_err(|reason| {
            let text = format!("parameter {} is {kind}, and SQLite cannot take it: {reason}", place + 1);
            Failure::new(Kind::Value, text)
        })?;
    }
    Ok(arguments)
}

fn add(arguments: &mut SqliteArguments, value: Value) -> Result<(), String> {
    match value {
        Value::Null => put(arguments, None::<String>),
        Value::Bool(value) => put(arguments, i64::from(value)),
        Value::Int(number) => put(arguments, number),
        // It would be stored as NULL.
        Value::Float(number) if number.is_nan() => Err("give a number".to_owned()),
        Value::Float(number) => put(arguments, number),
        Value::Decimal(digits) => decimal(arguments, digits),
        Value::Text(text) => put(arguments, text),
        Value::Bytes(bytes) => put(arguments, bytes),
        Value::Time(seconds, nanoseconds) => {
            let time = times::naive(seconds, nanoseconds).ok_or("give one of the years 0 to 9999")?;
            // As CURRENT_TIMESTAMP and ActiveRecord write it, so that both compare.
            put(arguments, time.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
        }
        Value::Date(year, month, day) => {
            let date = times::day(year, month, day).ok_or("give one of the years 0 to 9999")?;
            put(arguments, date.format("%Y-%m-%d").to_string())
        }
    }
}

/// A number where one keeps it, because text and numbers do not compare; else text, which keeps all of it.
fn decimal(arguments: &mut SqliteArguments, digits: String) -> Result<(), String> {
    let number: f64 = digits.trim().parse().map_err(|_| "give a number".to_owned())?;
    if !number.is_finite() || !digits.bytes().any(|letter| letter.is_ascii_digit()) {
        return Err("give a number with an end".to_owned());
    }
    match digits.bytes().filter(u8::is_ascii_digit).count() <= EXACT {
        true => put(arguments, number),
        false => put(arguments, digits),
    }
}

fn put<'t, T: Encode<'t, Sqlite> + Type<Sqlite> + 't>(arguments: &mut SqliteArguments, value: T) -> Result<(), String> {
    arguments.add(value).map_err(|error| error.to_string())
}
