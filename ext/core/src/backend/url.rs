//! URLs as users write them. Whatever is said about one names no password.

pub use ::url::Url;

use crate::Error;

/// The parameters that only poolkeeper reads.
pub fn parse(url: &str) -> Result<Url, Error> {
    Url::parse(url).map_err(|error| {
        Error::Configuration(format!(
            "the URL cannot be read ({error}); it is written like postgres://user:password@host:5432/database"
        ))
    })
}
