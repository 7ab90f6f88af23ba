//! URLs as users write them. Whatever is said about one names no password.

pub use ::url::Url;

use crate::Error;

/// Reads a URL that names a server.
///
/// # Errors
///
/// [`Error::Configuration`] where it is none.
pub fn parse(url: &str) -> Result<Url, Error> {
    Url::parse(url).map_err(|error| {
        Error::Configuration(format!(
            "the URL cannot be read ({error}); it is written like postgres://user:password@host:5432/database"
        ))
    })
}

/// Refuses parameters that the driver would pass over in silence. A name that ends in `[` takes what it begins.
///
/// # Errors
///
/// [`Error::Configuration`] with the first of them, and with those that are known.
pub fn refuse_unknown(query: Option<&str>, known: &[&str]) -> Result<(), Error> {
    let given = ::url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    for (name, _) in given {
        let is_known = known
            .iter()
            .any(|known| *known == name || (known.ends_with('[') && name.starts_with(known)));
        if !is_known {
            let known: Vec<&str> = known.iter().copied().filter(|name| !name.ends_with('[')).collect();
            // What stands there may be the rest of a password that holds a `?` or an `&` as it is.
            let plain = name
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || matches!(letter, '_' | '-'));
            let name = if plain { format!(" {name}") } else { String::new() };
            return Err(Error::Configuration(format!(
                "the URL has a parameter{name} that nobody reads (in a password, ? is %3F and & is %26); those that are \
                 known are {}",
                known.join(", ")
            )));
        }
    }
    Ok(())
}

/// The error for a URL that names no database.
pub fn without_database(example: &str) -> Error {
    Error::Configuration(format!(
        "the URL names no database; give its name at the end, as in {example}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_parameter_is_named_beside_the_known_and_without_its_value() {
        let refused = refuse_unknown(Some("sslmode=require&pool=secret"), &["sslmode", "host"]);
        let text = refused.map_err(|error| error.to_string());
        let text = text.unwrap_err();
        assert!(text.contains("a parameter pool that nobody reads") && text.contains("known are sslmode, host"));
        assert!(!text.contains("secret"));
    }

    #[test]
    fn what_may_be_the_rest_of_a_password_is_not_shown() {
        let refused = refuse_unknown(Some("secret@host/database"), &["sslmode"]);
        assert!(!refused.unwrap_err().to_string().contains("secret"));
    }

    #[test]
    fn known_parameters_pass() {
        assert!(refuse_unknown(None, &[]).is_ok());
        assert!(refuse_unknown(Some("host=a&options[b]=c"), &["host", "options["]).is_ok());
    }
}
