//! Values out of SQLite's rows: by how each is stored, and by what its column was declared for.

use std::str::FromStr;

use chrono::NaiveDate;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column, Decode, Row, Sqlite, TypeInfo, ValueRef};

use super::super::{times, Failure, Kind};
use crate::sql::Value;

/// Reads a row.
pub fn values(row: &SqliteRow) -> Result<Vec<Value>, Failure> {
    (0..row.len())
        .map(|index| {
            let column = &row.columns()[index];
            value(row, index, column.type_info().name()).ok_or_else(|| {
                let text = format!("column {}: a value cannot be read", column.name());
                Failure::new(Kind::Value, text)
            })
        })
        .collect()
}

/// Reads the text of a column anew by its declared type, such as `datetime(6)`.
pub fn understand(rows: &mut [Vec<Value>], place: usize, declared: &str) {
    let name = declared
        .split(['(', ' '])
        .next()
        .unwrap_or_default()
        .to_ascii_uppercase();
    let kind = match name.as_str() {
        "TIMESTAMP" | "TIMESTAMPTZ" => "DATETIME",
        name => name,
    };
    for row in rows {
        if let Value::Text(text) = &row[place] {
            if let Some(value) = understood(text, kind) {
                row[place] = value;
            }
        }
    }
}

fn value(row: &SqliteRow, index: usize, declared: &str) -> Option<Value> {
    let raw = row.try_get_raw(index).ok()?;
    if raw.is_null() {
        return Some(Value::Null);
    }
    let stored = raw.type_info().name().to_owned();
    Some(match stored.as_str() {
        "INTEGER" => {
            let number: i64 = read(row, index)?;
            match declared {
                "BOOLEAN" => Value::Bool(number != 0),
                _ => Value::Int(number),
            }
        }
        "REAL" => Value::Float(read(row, index)?),
        "TEXT" => match std::str::from_utf8(read(row, index)?) {
            Ok(text) => understood(text, declared).unwrap_or_else(|| Value::Text(text.to_owned())),
            Err(_) => Value::Bytes(read::<&[u8]>(row, index)?.to_vec()),
        },
        _ => Value::Bytes(read::<&[u8]>(row, index)?.to_vec()),
    })
}

/// Text in a column for days or moments; none where it is neither, for SQLite stores whatever it is given.
fn understood(text: &str, declared: &str) -> Option<Value> {
    match declared {
        "DATE" => times::value_of_day(NaiveDate::from_str(text).ok()?),
        "DATETIME" => times::moment(text)
            .or_else(|| times::moment(&format!("{text} 00:00:00")))
            .map(|(seconds, nanoseconds)| Value::Time(seconds, nanoseconds)),
        _ => None,
    }
}

fn read<'r, T: Decode<'r, Sqlite>>(row: &'r SqliteRow, index: usize) -> Option<T> {
    T::decode(row.try_get_raw(index).ok()?).ok()
}
