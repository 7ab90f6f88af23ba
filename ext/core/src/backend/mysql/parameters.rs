//! Values as MySQL takes them: each is sent with its own type, and the server fits it to where it goes.

use std::str::FromStr;

use sqlx::mysql::MySqlArguments;
use sqlx::types::BigDecimal;
use sqlx::{Arguments, Encode, MySql, Type};

use super::super::{times, Failure, Kind};
use crate::sql::Value;

/// Writes each value; there must be as many as the statement has parameters.
pub fn arguments(values: Vec<Value>, wanted: usize) -> Result<MySqlArguments, Failure> {
    if values.len() != wanted {
        return Err(Failure::wrong_count(wanted, values.len()));
    }
    let mut arguments = MySqlArguments::default();
    for (place, value) in values.into_iter().enumerate() {
        let kind = value.kind();
        add(&mut arguments, value).map_err(|reason| {
            let text = format!(
                "parameter {} is {kind}, and the server cannot take it: {reason}",
                place + 1
            );
            Failure::new(Kind::Value, text)
        })?;
    }
    Ok(arguments)
}

fn add(arguments: &mut MySqlArguments, value: Value) -> Result<(), String> {
    match value {
        Value::Null => put(arguments, None::<String>),
        Value::Bool(value) => put(arguments, value),
        Value::Int(number) => put(arguments, number),
        Value::Float(number) if !number.is_finite() => Err("give a number with an end".to_owned()),
        Value::Float(number) => put(arguments, number),
        Value::Decimal(digits) => {
            let number = BigDecimal::from_str(digits.trim()).map_err(|_| "give a number with an end".to_owned())?;
            put(arguments, number)
        }
        Value::Text(text) => put(arguments, text),
        Value::Bytes(bytes) => put(arguments, bytes),
        Value::Time(seconds, nanoseconds) => {
            let time = times::naive(seconds, nanoseconds).ok_or("give one of the years 0 to 9999")?;
            put(arguments, time)
        }
        Value::Date(year, month, day) => {
            let date = times::day(year, month, day).ok_or("give one of the years 0 to 9999")?;
            put(arguments, date)
        }
    }
}

fn put<'t, T: Encode<'t, MySql> + Type<MySql> + 't>(arguments: &mut MySqlArguments, value: T) -> Result<(), String> {
    arguments.add(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_number_of_parameters_is_told_with_both_numbers() {
        let failure = arguments(vec![Value::Int(1)], 2).err();
        let told = failure.map(|failure| (failure.kind, failure.text));
        let text = "the statement has 2 parameters, and was given 1".to_owned();
        assert_eq!(told, Some((Kind::Value, text)));
    }

    #[test]
    fn what_has_no_place_in_a_column_is_told_by_its_place_and_kind() {
        let told = |value| arguments(vec![Value::Null, value], 2).err().map(|failure| failure.text);
        let text = told(Value::Float(f64::NAN)).unwrap_or_default();
        assert!(text.starts_with("parameter 2 is a Float"), "{text}");
        let text = told(Value::Decimal("NaN".to_owned())).unwrap_or_default();
        assert!(text.starts_with("parameter 2 is a number of many digits"), "{text}");
        let text = told(Value::Time(253_402_300_800, 0)).unwrap_or_default();
        assert!(text.starts_with("parameter 2 is a Time"), "{text}");
        let text = told(Value::Date(-1, 1, 1)).unwrap_or_default();
        assert!(text.starts_with("parameter 2 is a Date"), "{text}");
    }
}
