//! Values on their way to a server and back.

mod lexical;

pub use lexical::{effect, listens, Effect};

/// A value that every backend knows.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A number with decimal places, or one too large for an integer, in digits.
    Decimal(String),
    /// Text.
    Text(String),
    /// Bytes that are no text.
    Bytes(Vec<u8>),
    /// A moment: seconds and nanoseconds since 1970 in UTC.
    Time(i64, u32),
    /// A day of the proleptic Gregorian calendar: year, month, day.
    Date(i32, u8, u8),
}

impl Value {
    /// What it is, in words for a message; never the value itself.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nil",
            Value::Bool(_) => "true or false",
            Value::Int(_) => "an Integer",
            Value::Float(_) => "a Float",
            Value::Decimal(_) => "a number of many digits",
            Value::Text(_) => "a String",
            Value::Bytes(_) => "a binary String",
            Value::Time(..) => "a Time",
            Value::Date(..) => "a Date",
        }
    }
}

/// What a statement answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, each with a value a column.
    pub rows: Vec<Vec<Value>>,
    /// How many rows the statement changed.
    pub affected: u64,
}
