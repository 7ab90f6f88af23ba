//! Days and moments as text.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike};

use crate::sql::Value;

/// Seconds and nanoseconds of a moment as text tells it; UTC where it names no zone.
pub fn moment(text: &str) -> Option<(i64, u32)> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, "%F %T%.f %#z")) {
        return Some((time.timestamp(), time.timestamp_subsec_nanos()));
    }
    ["%F %T%.f", "%FT%T%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|time| (time.and_utc().timestamp(), time.and_utc().timestamp_subsec_nanos()))
}

/// A moment by the calendar, in UTC and to the microsecond, which is what databases keep; only of years that are
/// written with four digits.
pub fn naive(seconds: i64, nanoseconds: u32) -> Option<NaiveDateTime> {
    let time = DateTime::from_timestamp(seconds, nanoseconds / 1_000 * 1_000)?.naive_utc();
    (0..=9999).contains(&time.year()).then_some(time)
}

/// A day of the calendar; only of years that are written with four digits.
pub fn day(year: i32, month: u8, day: u8) -> Option<NaiveDate> {
    let date = NaiveDate::from_ymd_opt(year, u32::from(month), u32::from(day))?;
    (0..=9999).contains(&year).then_some(date)
}

/// What a database says of a moment in UTC.
pub fn value_of_time(time: NaiveDateTime) -> Value {
    Value::Time(time.and_utc().timestamp(), time.nanosecond() % 1_000_000_000)
}

/// What a database says of a day.
pub fn value_of_day(date: NaiveDate) -> Option<Value> {
    Some(Value::Date(
        date.year(),
        u8::try_from(date.month()).ok()?,
        u8::try_from(date.day()).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_without_a_zone_is_utc_and_one_with_a_zone_is_not() {
        assert_eq!(moment("2026-11-22 10:00:00.25"), Some((1_795_341_600, 250_000_000)));
        assert_eq!(moment("2026-11-22T10:00:00"), Some((1_795_341_600, 0)));
        assert_eq!(moment("2026-11-22T10:00:00Z"), Some((1_795_341_600, 0)));
        assert_eq!(moment("2026-11-22 10:00:00+02"), Some((1_795_334_400, 0)));
        assert_eq!(moment("tomorrow"), None);
    }

    #[test]
    fn years_of_more_than_four_digits_are_refused() {
        assert_eq!(
            naive(253_402_300_799, 0).map(|time| time.to_string()),
            Some("9999-12-31 23:59:59".to_owned())
        );
        assert_eq!(naive(253_402_300_800, 0), None);
        assert_eq!(day(10_000, 1, 1), None);
        assert_eq!(day(2026, 2, 30), None);
    }
}
