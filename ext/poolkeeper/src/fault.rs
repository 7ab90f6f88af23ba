//! `Poolkeeper::Fault`: what an error says about its connection. Ruby gathers the facts, the core judges them.
//!
//! Nothing here raises: a fact that cannot be read is a fact that is missing.

use magnus::{
    function, value::ReprValue, Error, Integer, Module, Object, RArray, RModule, RString, Ruby, Symbol, Value,
};
use poolkeeper_core::fault::{self, Interest, Link};

use crate::guard::guarded;

/// The facts of one error, owned: a link of the core borrows from it.
#[derive(Default)]
struct Facts {
    classes: Vec<String>,
    sqlstate: Option<String>,
    number: Option<i64>,
    text: String,
    in_driver: bool,
    severity: Option<String>,
}

impl Facts {
    /// Reads `[classes, sqlstate, number, text, in_driver, severity]`.
    fn read(row: Value) -> Self {
        let Some(row) = RArray::from_value(row) else {
            return Self::default();
        };
        let at = |index| row.entry::<Value>(index).ok();
        Self {
            classes: at(0).map(strings).unwrap_or_default(),
            sqlstate: at(1).and_then(string),
            number: at(2)
                .and_then(Integer::from_value)
                .and_then(|number| number.to_i64().ok()),
            text: at(3).and_then(string).unwrap_or_default(),
            in_driver: at(4).is_some_and(Value::to_bool),
            severity: at(5).and_then(string),
        }
    }
}

/// The bytes of a string as text, whatever its encoding and however broken.
fn string(value: Value) -> Option<String> {
    let string = RString::from_value(value)?;
    string.to_string().ok().or_else(|| {
        // Slow, safe and rare: the bytes themselves are out of reach without unsafe code.
        let bytes: Vec<u8> = string.funcall::<_, _, RArray>("bytes", ()).ok()?.to_vec().ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    })
}

fn strings(value: Value) -> Vec<String> {
    each(value, string).into_iter().flatten().collect()
}

/// Converts each element; none where `value` is no array. Each is converted as soon as it is read: a `Value` in a `Vec`
/// would be out of the garbage collector's sight.
fn each<T>(value: Value, convert: impl Fn(Value) -> T) -> Vec<T> {
    let Some(array) = RArray::from_value(value) else {
        return Vec::new();
    };
    let indices = 0..isize::try_from(array.len()).unwrap_or(isize::MAX);
    indices
        .filter_map(|index| array.entry(index).ok())
        .map(convert)
        .collect()
}

fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// A chain of errors to the name of a fault, or nil.
fn classify(ruby: &Ruby, chain: Value) -> Result<Option<Symbol>, Error> {
    guarded(ruby, || {
        let facts = each(chain, Facts::read);
        let classes: Vec<Vec<&str>> = facts.iter().map(|facts| borrowed(&facts.classes)).collect();
        let links: Vec<Link<'_>> = facts
            .iter()
            .zip(&classes)
            .map(|(facts, classes)| Link {
                classes,
                sqlstate: facts.sqlstate.as_deref(),
                number: facts.number,
                severity: facts.severity.as_deref(),
                text: &facts.text,
                in_driver: facts.in_driver,
            })
            .collect();
        Ok(fault::classify(&links).map(|fault| ruby.to_symbol(fault.as_str())))
    })
}

/// The names of a class and its ancestors to what the table wants to know of such an error: nil, :words or :origin.
fn interest(ruby: &Ruby, classes: Value) -> Result<Option<Symbol>, Error> {
    guarded(ruby, || {
        let names = strings(classes);
        Ok(match fault::interest(&borrowed(&names)) {
            Interest::Nothing => None,
            Interest::Words => Some(ruby.to_symbol("words")),
            Interest::Origin => Some(ruby.to_symbol("origin")),
        })
    })
}

pub fn init(_ruby: &Ruby, module: RModule) -> Result<(), Error> {
    let fault = module.define_module("Fault")?;
    fault.define_singleton_method("_classify", function!(classify, 1))?;
    fault.define_singleton_method("_interest", function!(interest, 1))?;
    Ok(())
}
