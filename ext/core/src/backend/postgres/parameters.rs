//! Values as the parameters of a statement want them, in PostgreSQL's binary forms.
//!
//! The forms are those of PostgreSQL's `*_recv` functions (src/backend/utils/adt).

use std::str::FromStr;

use chrono::{DateTime, NaiveDate};
use sqlx::postgres::{PgArguments, PgTypeInfo, PgTypeKind};
use sqlx::types::BigDecimal;
use sqlx::{Arguments, TypeInfo};

use super::super::{times, Failure, Kind};
use crate::sql::Value;

/// Days and microseconds count from 2000-01-01.
const EPOCH_SECONDS: i64 = 946_684_800;
const EPOCH_DAY: i32 = 730_120;

/// Writes each value as the type that the server wants in its place.
pub fn arguments(values: Vec<Value>, wanted: &[PgTypeInfo]) -> Result<PgArguments, Failure> {
    if values.len() != wanted.len() {
        return Err(Failure::wrong_count(wanted.len(), values.len()));
    }
    let mut arguments = PgArguments::default();
    for (place, (value, wanted)) in values.iter().zip(wanted).enumerate() {
        add(&mut arguments, value, wanted).map_err(|reason| misfit(place + 1, value, wanted, &reason))?;
    }
    Ok(arguments)
}

fn misfit(place: usize, value: &Value, wanted: &PgTypeInfo, reason: &str) -> Failure {
    let wanted = wanted.name().to_lowercase();
    let text = format!(
        "parameter ${place} is {}, and the server wants {wanted}: {reason}",
        value.kind()
    );
    Failure::new(Kind::Value, text)
}

type Fit = Result<(), String>;

fn add(arguments: &mut PgArguments, value: &Value, wanted: &PgTypeInfo) -> Fit {
    if let PgTypeKind::Domain(base) = wanted.kind() {
        return add(arguments, value, base);
    }
    if *value == Value::Null {
        return put(arguments, None::<Vec<u8>>);
    }
    if matches!(wanted.kind(), PgTypeKind::Enum(_)) {
        return put(arguments, Some(text(value)?.into_bytes()));
    }
    let bytes = match wanted.oid().map_or(0, |oid| oid.0) {
        16 => vec![u8::from(boolean(value)?)],
        17 => binary(value)?,
        20 => integer::<i64>(value)?.to_be_bytes().to_vec(),
        21 => integer::<i16>(value)?.to_be_bytes().to_vec(),
        23 => integer::<i32>(value)?.to_be_bytes().to_vec(),
        26 => integer::<u32>(value)?.to_be_bytes().to_vec(),
        // name, text, json, xml, unknown, bpchar, varchar; citext and the like have numbers of their own.
        18 | 19 | 25 | 114 | 142 | 705 | 1042 | 1043 => text(value)?.into_bytes(),
        // The number of jsonb's own format comes first.
        3802 => [vec![1], text(value)?.into_bytes()].concat(),
        #[allow(clippy::cast_possible_truncation)]
        700 => (float(value)? as f32).to_be_bytes().to_vec(),
        701 => float(value)?.to_be_bytes().to_vec(),
        1082 => (date(value)? - EPOCH_DAY).to_be_bytes().to_vec(),
        1114 | 1184 => moment(value)?.to_be_bytes().to_vec(),
        1700 => return put(arguments, decimal(value)?),
        2950 => uuid(value)?,
        _ => return other(arguments, value, wanted),
    };
    put(arguments, Some(bytes))
}

/// What a type's number does not tell its name may.
fn other(arguments: &mut PgArguments, value: &Value, wanted: &PgTypeInfo) -> Fit {
    match wanted.name().to_lowercase().as_str() {
        "citext" => put(arguments, Some(text(value)?.into_bytes())),
        name => Err(format!(
            "poolkeeper cannot write that type; give its text, and write the parameter as $n::text::{name}"
        )),
    }
}

fn put<'q, T>(arguments: &mut PgArguments, value: T) -> Fit
where
    T: 'q + sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    arguments.add(value).map_err(|error| error.to_string())
}

fn boolean(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(value) => Ok(*value),
        _ => Err("give true or false".to_owned()),
    }
}

fn integer<T: TryFrom<i64>>(value: &Value) -> Result<T, String> {
    let number = match value {
        Value::Int(number) => Some(*number),
        Value::Text(digits) | Value::Decimal(digits) => digits.trim().parse().ok(),
        _ => None,
    };
    let number = number.ok_or("give an Integer of its range")?;
    T::try_from(number).map_err(|_| "it is out of its range".to_owned())
}

#[allow(clippy::cast_precision_loss)]
fn float(value: &Value) -> Result<f64, String> {
    let number = match value {
        Value::Float(number) => Some(*number),
        Value::Int(number) => Some(*number as f64),
        Value::Text(digits) | Value::Decimal(digits) => digits.trim().parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| "give a number".to_owned())
}

fn decimal(value: &Value) -> Result<BigDecimal, String> {
    let digits = match value {
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(digits) | Value::Decimal(digits) => digits.trim().to_owned(),
        _ => return Err("give a number".to_owned()),
    };
    BigDecimal::from_str(&digits).map_err(|_| "give a number with an end".to_owned())
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Text(text) | Value::Decimal(text) => Ok(text.clone()),
        Value::Int(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Date(year, month, day) => Ok(format!("{year:04}-{month:02}-{day:02}")),
        Value::Time(seconds, nanoseconds) => DateTime::from_timestamp(*seconds, *nanoseconds)
            .map(|time| time.to_rfc3339())
            .ok_or_else(|| "it is out of its range".to_owned()),
        Value::Null | Value::Bytes(_) => Err("give text; binary Strings go to bytea".to_owned()),
    }
}

fn binary(value: &Value) -> Result<Vec<u8>, String> {
    match value {
        Value::Bytes(bytes) => Ok(bytes.clone()),
        Value::Text(text) => Ok(text.clone().into_bytes()),
        _ => Err("give a String".to_owned()),
    }
}

fn date(value: &Value) -> Result<i32, String> {
    use chrono::Datelike;
    let date = match value {
        Value::Date(year, month, day) => NaiveDate::from_ymd_opt(*year, u32::from(*month), u32::from(*day)),
        Value::Time(seconds, _) => DateTime::from_timestamp(*seconds, 0).map(|time| time.date_naive()),
        Value::Text(text) => NaiveDate::from_str(text.trim()).ok(),
        _ => None,
    };
    date.map(|date| date.num_days_from_ce())
        .ok_or_else(|| "give a Date, or text like 2026-11-22".to_owned())
}

/// Microseconds since the epoch.
fn moment(value: &Value) -> Result<i64, String> {
    let (seconds, nanoseconds) = match value {
        Value::Time(seconds, nanoseconds) => Some((*seconds, *nanoseconds)),
        Value::Date(year, month, day) => NaiveDate::from_ymd_opt(*year, u32::from(*month), u32::from(*day))
            .and_then(|date| date.and_hms_opt(0, 0, 0))
            .map(|time| (time.and_utc().timestamp(), 0)),
        Value::Text(text) => times::moment(text.trim()),
        _ => None,
    }
    .ok_or("give a Time, or text like 2026-11-22 10:00:00")?;
    let micros = seconds
        .checked_sub(EPOCH_SECONDS)
        .and_then(|seconds| seconds.checked_mul(1_000_000));
    micros
        .map(|micros| micros + i64::from(nanoseconds / 1_000))
        .ok_or_else(|| "it is out of its range".to_owned())
}

fn uuid(value: &Value) -> Result<Vec<u8>, String> {
    let text = match value {
        Value::Text(text) => text.trim(),
        _ => "",
    };
    let digits: Vec<u32> = text
        .chars()
        .filter(|letter| *letter != '-')
        .filter_map(|letter| letter.to_digit(16))
        .collect();
    let whole = digits.len() == 32 && text.chars().all(|letter| letter == '-' || letter.is_ascii_hexdigit());
    if !whole {
        return Err("give 32 hexadecimal digits".to_owned());
    }
    #[allow(clippy::cast_possible_truncation)]
    Ok(digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}
