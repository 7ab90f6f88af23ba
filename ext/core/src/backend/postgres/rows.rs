//! Values out of PostgreSQL's binary forms, those of its `*_send` functions.

use chrono::{Datelike, NaiveDate};
use sqlx::postgres::{PgRow, PgTypeInfo, PgTypeKind, PgValueRef};
use sqlx::types::BigDecimal;
use sqlx::{Decode, Row, TypeInfo, Value as _, ValueRef};

use super::super::{Failure, Kind};
use crate::sql::Value;

/// Microseconds between 1970 and 2000.
const EPOCH_MICROS: i128 = 946_684_800_000_000;
const EPOCH_DAY: i64 = 730_120;

/// Reads a row.
pub fn values(row: &PgRow) -> Result<Vec<Value>, Failure> {
    (0..row.len())
        .map(|index| {
            let raw = row.try_get_raw(index)?;
            if raw.is_null() {
                return Ok(Value::Null);
            }
            let info = raw.type_info().into_owned();
            let unreadable = || {
                let name = sqlx::Column::name(&row.columns()[index]).to_owned();
                Failure::new(
                    Kind::Value,
                    format!("column {name}: a value of type {} cannot be read", info.name()),
                )
            };
            value(raw, &info).ok_or_else(unreadable)
        })
        .collect()
}

fn value(raw: PgValueRef<'_>, info: &PgTypeInfo) -> Option<Value> {
    if let PgTypeKind::Domain(base) = info.kind() {
        return value(raw, base);
    }
    let oid = info.oid().map_or(0, |oid| oid.0);
    if oid == 1700 {
        return decimal(raw);
    }
    let bytes = raw.as_bytes().ok()?;
    let textual = matches!(info.kind(), PgTypeKind::Enum(_));
    Some(match oid {
        _ if textual => text(bytes),
        16 => Value::Bool(*bytes.first()? != 0),
        17 => Value::Bytes(bytes.to_vec()),
        20 => Value::Int(i64::from_be_bytes(bytes.try_into().ok()?)),
        21 => Value::Int(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        23 => Value::Int(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        26 | 28 => Value::Int(u32::from_be_bytes(bytes.try_into().ok()?).into()),
        700 => Value::Float(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        701 => Value::Float(f64::from_be_bytes(bytes.try_into().ok()?)),
        1082 => date(i32::from_be_bytes(bytes.try_into().ok()?))?,
        1114 | 1184 => moment(i64::from_be_bytes(bytes.try_into().ok()?))?,
        2950 => uuid(bytes),
        3802 => text(bytes.get(1..)?),
        _ => text(bytes),
    })
}

/// Text where it is some, else bytes: the binary forms of rarer types come as they are.
fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::Text(text.to_owned()),
        Err(_) => Value::Bytes(bytes.to_vec()),
    }
}

fn decimal(raw: PgValueRef<'_>) -> Option<Value> {
    let owned = ValueRef::to_owned(&raw);
    match <BigDecimal as Decode<sqlx::Postgres>>::decode(owned.as_ref()) {
        Ok(number) => Some(Value::Decimal(number.to_plain_string())),
        // NaN and the infinities are no numbers with digits.
        Err(_) => match raw.as_bytes().ok()?.get(4..6)? {
            [0xC0, 0] => Some(Value::Float(f64::NAN)),
            [0xD0, 0] => Some(Value::Float(f64::INFINITY)),
            [0xF0, 0] => Some(Value::Float(f64::NEG_INFINITY)),
            _ => None,
        },
    }
}

fn date(days: i32) -> Option<Value> {
    if let Some(infinite) = infinity(days == i32::MAX, days == i32::MIN) {
        return Some(infinite);
    }
    let date = NaiveDate::from_num_days_from_ce_opt(i32::try_from(i64::from(days) + EPOCH_DAY).ok()?)?;
    Some(Value::Date(
        date.year(),
        u8::try_from(date.month()).ok()?,
        u8::try_from(date.day()).ok()?,
    ))
}

fn moment(micros: i64) -> Option<Value> {
    if let Some(infinite) = infinity(micros == i64::MAX, micros == i64::MIN) {
        return Some(infinite);
    }
    let micros = i128::from(micros) + EPOCH_MICROS;
    let seconds = i64::try_from(micros.div_euclid(1_000_000)).ok()?;
    let nanoseconds = u32::try_from(micros.rem_euclid(1_000_000)).ok()? * 1_000;
    Some(Value::Time(seconds, nanoseconds))
}

fn infinity(positive: bool, negative: bool) -> Option<Value> {
    let text = if positive { "infinity" } else { "-infinity" };
    (positive || negative).then(|| Value::Text(text.to_owned()))
}

fn uuid(bytes: &[u8]) -> Value {
    use std::fmt::Write;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    Value::Text(text)
}
