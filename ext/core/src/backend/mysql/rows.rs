//! Values out of MySQL's rows, by the types of their columns.

use std::str::FromStr;

use chrono::{NaiveDate, NaiveDateTime};
use sqlx::mysql::types::{MySqlTime, MySqlTimeSign};
use sqlx::mysql::MySqlRow;
use sqlx::types::BigDecimal;
use sqlx::{Column, Decode, MySql, Row, Type, TypeInfo, ValueRef};

use super::super::{times, Failure, Kind};
use crate::sql::Value;

/// Reads a row.
pub fn values(row: &MySqlRow) -> Result<Vec<Value>, Failure> {
    (0..row.len())
        .map(|index| {
            let column = &row.columns()[index];
            // Dates of zeros are none.
            if row.try_get_raw(index)?.is_null() {
                return Ok(Value::Null);
            }
            // A binary collation such as utf8mb4_bin is one of text.
            let is_text = <str as Type<MySql>>::compatible(column.type_info());
            value(row, index, column.type_info().name(), is_text).ok_or_else(|| {
                let (name, kind) = (column.name(), column.type_info().name());
                let text = format!("column {name}: a value of type {kind} cannot be read");
                Failure::new(Kind::Value, text)
            })
        })
        .collect()
}

fn value(row: &MySqlRow, index: usize, kind: &str, is_text: bool) -> Option<Value> {
    Some(match kind {
        "BOOLEAN" => Value::Bool(read::<i64>(row, index)? != 0),
        "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => Value::Int(read(row, index)?),
        "YEAR" | "BIT" => unsigned(read(row, index)?),
        "FLOAT" => Value::Float(read::<f32>(row, index)?.into()),
        "DOUBLE" => Value::Float(read(row, index)?),
        "DECIMAL" => Value::Decimal(digits(read(row, index)?)?),
        "DATE" => times::value_of_day(read::<NaiveDate>(row, index)?)?,
        "DATETIME" | "TIMESTAMP" => times::value_of_time(read::<NaiveDateTime>(row, index)?),
        // A span of up to 838 hours, which may be negative.
        "TIME" => Value::Text(span(read(row, index)?)),
        "NULL" => Value::Null,
        _ if kind.ends_with("UNSIGNED") => unsigned(read(row, index)?),
        _ if is_text => text(read(row, index)?),
        _ if kind.ends_with("BLOB") || kind.ends_with("BINARY") || kind == "GEOMETRY" => {
            Value::Bytes(read::<&[u8]>(row, index)?.to_vec())
        }
        _ => text(read(row, index)?),
    })
}

fn read<'r, T: Decode<'r, MySql>>(row: &'r MySqlRow, index: usize) -> Option<T> {
    T::decode(row.try_get_raw(index).ok()?).ok()
}

/// As they were sent, where they are some.
fn digits(text: &str) -> Option<String> {
    BigDecimal::from_str(text).is_ok().then(|| text.to_owned())
}

fn unsigned(number: u64) -> Value {
    i64::try_from(number).map_or_else(|_| Value::Decimal(number.to_string()), Value::Int)
}

/// As the server writes it.
fn span(time: MySqlTime) -> String {
    let sign = if matches!(time.sign(), MySqlTimeSign::Negative) {
        "-"
    } else {
        ""
    };
    let (hours, minutes, seconds) = (time.hours(), time.minutes(), time.seconds());
    match time.microseconds() {
        0 => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
        fraction => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}.{fraction:06}"),
    }
}

/// Text where it is some, else bytes.
fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::Text(text.to_owned()),
        Err(_) => Value::Bytes(bytes.to_vec()),
    }
}
