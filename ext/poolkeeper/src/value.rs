//! Ruby's values on their way to a database and back.

use magnus::encoding::EncodingCapable;
use magnus::r_hash::RHash;
use magnus::time::{Offset, Timespec};
use magnus::value::ReprValue;
use magnus::{Error, Float, Integer, IntoValue, Module, RArray, RClass, RModule, RString, Ruby, Symbol, Time, Value};
use poolkeeper_core::sql::{self, Rows};

/// Takes over the parameters of a statement.
///
/// # Errors
///
/// ArgumentError for a value of a class that no database takes, by its place and class.
pub fn parameters(ruby: &Ruby, values: RArray) -> Result<Vec<sql::Value>, Error> {
    let mut taken = Vec::with_capacity(values.len());
    for place in 0..values.len() {
        #[allow(clippy::cast_possible_wrap)]
        let value: Value = values.entry(place as isize)?;
        taken.push(parameter(ruby, place + 1, value)?);
    }
    Ok(taken)
}

fn parameter(ruby: &Ruby, place: usize, value: Value) -> Result<sql::Value, Error> {
    if value.is_nil() {
        return Ok(sql::Value::Null);
    }
    if let Some(integer) = Integer::from_value(value) {
        return match integer.to_i64() {
            Ok(number) => Ok(sql::Value::Int(number)),
            Err(_) => Ok(sql::Value::Decimal(value.to_r_string()?.to_string()?)),
        };
    }
    if let Some(string) = RString::from_value(value) {
        return text(ruby, place, string);
    }
    if let Some(float) = Float::from_value(value) {
        return Ok(sql::Value::Float(float.to_f64()));
    }
    if let Some(time) = Time::from_value(value) {
        let time = time.timespec()?;
        return Ok(sql::Value::Time(time.tv_sec, u32::try_from(time.tv_nsec).unwrap_or(0)));
    }
    if let Some(symbol) = Symbol::from_value(value) {
        return Ok(sql::Value::Text(symbol.name()?.into_owned()));
    }
    if value.is_kind_of(ruby.class_true_class()) || value.is_kind_of(ruby.class_false_class()) {
        return Ok(sql::Value::Bool(value.to_bool()));
    }
    rarer(ruby, place, value)
}

fn text(ruby: &Ruby, place: usize, string: RString) -> Result<sql::Value, Error> {
    let binary = string.enc_get() == ruby.ascii8bit_encindex();
    match string.to_string() {
        Ok(text) if !binary || text.is_ascii() => Ok(sql::Value::Text(text)),
        _ if binary => {
            let bytes: Vec<u8> = string.funcall::<_, _, RArray>("bytes", ())?.to_vec()?;
            Ok(sql::Value::Bytes(bytes))
        }
        _ => {
            let text = format!("parameter {place} is no valid text; call force_encoding(Encoding::BINARY) on bytes");
            Err(Error::new(ruby.exception_arg_error(), text))
        }
    }
}

/// Classes of Ruby's library, which need not be loaded.
fn rarer(ruby: &Ruby, place: usize, value: Value) -> Result<sql::Value, Error> {
    let is_a = |name: &str| -> Result<bool, Error> {
        let class: Result<RClass, Error> = ruby.class_object().const_get(name);
        Ok(class.is_ok_and(|class| value.is_kind_of(class)))
    };
    if is_a("DateTime")? {
        return parameter(ruby, place, value.funcall("to_time", ())?);
    }
    if is_a("Date")? {
        let (year, month, day) = (
            value.funcall("year", ())?,
            value.funcall("month", ())?,
            value.funcall("day", ())?,
        );
        return Ok(sql::Value::Date(year, month, day));
    }
    if is_a("BigDecimal")? {
        return Ok(sql::Value::Decimal(value.funcall("to_s", ("F",))?));
    }
    if is_a("ActiveSupport::TimeWithZone").unwrap_or(false) || value.respond_to("to_time", false)? {
        return parameter(ruby, place, value.funcall("to_time", ())?);
    }
    let class = value.class().inspect();
    let text =
        format!("parameter {place} is of class {class}; give a String, a number, true, false, nil, a Time or a Date");
    Err(Error::new(ruby.exception_arg_error(), text))
}

/// The rows as Hashes with Symbol keys.
pub fn rows(ruby: &Ruby, rows: &Rows) -> Result<RArray, Error> {
    // In an Array: the collector finds nothing in Rust's own memory, and moves what Ruby's refer to.
    let keys = ruby.ary_new_capa(rows.columns.len());
    for name in &rows.columns {
        keys.push(ruby.to_symbol(name))?;
    }
    let array = ruby.ary_new_capa(rows.rows.len());
    for row in &rows.rows {
        let hash: RHash = ruby.hash_new();
        for (place, value) in row.iter().enumerate() {
            let value = from(ruby, value)?;
            #[allow(clippy::cast_possible_wrap)]
            hash.aset(keys.entry::<Value>(place as isize)?, value)?;
        }
        array.push(hash)?;
    }
    Ok(array)
}

fn from(ruby: &Ruby, value: &sql::Value) -> Result<Value, Error> {
    Ok(match value {
        sql::Value::Null => ruby.qnil().into_value_with(ruby),
        sql::Value::Bool(value) => value.into_value_with(ruby),
        sql::Value::Int(number) => number.into_value_with(ruby),
        sql::Value::Float(number) => number.into_value_with(ruby),
        sql::Value::Decimal(digits) => {
            let poolkeeper: RModule = ruby.class_object().const_get("Poolkeeper")?;
            let pool: RClass = poolkeeper.const_get("Pool")?;
            pool.funcall("decimal", (digits.as_str(),))?
        }
        sql::Value::Text(text) => text.as_str().into_value_with(ruby),
        sql::Value::Bytes(bytes) => ruby.str_from_slice(bytes).into_value_with(ruby),
        sql::Value::Time(seconds, nanoseconds) => {
            let time = Timespec {
                tv_sec: *seconds,
                tv_nsec: i64::from(*nanoseconds),
            };
            ruby.time_timespec_new(time, Offset::utc())?.into_value_with(ruby)
        }
        sql::Value::Date(year, month, day) => {
            let class: RClass = ruby.class_object().const_get("Date")?;
            class.funcall("new", (*year, *month, *day))?
        }
    })
}
