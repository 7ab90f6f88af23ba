//! URLs as users write them. Whatever is said about one names no password.

pub use ::url::Url;

use crate::Error;

/// How several hosts are written.
pub const SEVERAL: &str = "postgres://user:password@a:5432,b:5433/database";

/// Reads a URL that names a server, or several with commas between them: then each is answered in a URL of its own.
///
/// # Errors
///
/// [`Error::Configuration`] where it is none.
pub fn parse(url: &str) -> Result<(Url, Vec<Url>), Error> {
    let Some((before, hosts, after)) = several(url) else {
        return Ok((read(url)?, Vec::new()));
    };
    // Then the hosts are what stands in a password before its first `/`, and are not to be shown to anybody.
    if after.contains('@') {
        return Err(Error::Configuration(
            "the URL has an @ behind its hosts; in a user's name or a password write / as %2F, ? as %3F, # as %23, and \
             elsewhere @ as %40"
                .to_owned(),
        ));
    }
    let mut urls = Vec::new();
    for host in hosts.split(',') {
        if host.is_empty() || host.starts_with(':') {
            return Err(Error::Configuration(format!(
                "the URL has an empty place in its list of hosts; name one between each two commas, as in {SEVERAL}"
            )));
        }
        urls.push(read(&format!("{before}{host}{after}"))?);
    }
    let first = urls.remove(0);
    Ok((first, urls))
}

/// What stands before, in and after a list of hosts, where there is one.
fn several(url: &str) -> Option<(&str, &str, &str)> {
    let start = url.find("://")? + 3;
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |end| start + end);
    let start = url[start..end].rfind('@').map_or(start, |at| start + at + 1);
    let hosts = &url[start..end];
    hosts.contains(',').then_some((&url[..start], hosts, &url[end..]))
}

fn read(url: &str) -> Result<Url, Error> {
    Url::parse(url).map_err(|error| {
        Error::Configuration(format!(
            "the URL cannot be read ({error}); it is written like postgres://user:password@host:5432/database"
        ))
    })
}

/// The last value of a parameter.
pub fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let given = ::url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    given
        .filter(|(key, _)| key == name)
        .last()
        .map(|(_, value)| value.into_owned())
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
        if !is_known && name == "target_session_attrs" {
            return Err(Error::Configuration(
                "target_session_attrs is for postgres:// only; leave it out, and name the server that has the role"
                    .to_owned(),
            ));
        }
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

    fn hosts(url: &str) -> Vec<String> {
        let (first, others) = parse(url).unwrap();
        let named = |url: &Url| format!("{}:{:?}", url.host_str().unwrap_or_default(), url.port());
        std::iter::once(&first).chain(&others).map(named).collect()
    }

    #[test]
    fn several_hosts_have_their_own_ports_and_all_else_in_common() {
        let (first, others) = parse("postgres://u:p%40%2C,@a:1,b,[::1]:3/d?sslmode=disable").unwrap();
        let texts: Vec<&str> = std::iter::once(&first).chain(&others).map(Url::as_str).collect();
        let wanted = ["a:1", "b", "[::1]:3"].map(|host| format!("postgres://u:p%40%2C,@{host}/d?sslmode=disable"));
        assert_eq!(texts, wanted);
    }

    #[test]
    fn a_comma_elsewhere_makes_no_list() {
        assert_eq!(hosts("postgres://u:a,b@h/d"), ["h:None"]);
        assert_eq!(hosts("postgres://u@h:1/d,e?application_name=a,b"), ["h:Some(1)"]);
        assert_eq!(hosts("postgres:///d?host=/run/a,b"), [":None"]);
    }

    #[test]
    fn a_list_with_an_empty_place_is_refused_and_so_is_what_may_be_half_a_password() {
        for url in [
            "postgres://u:hush@a,,b/d",
            "postgres://u:hush@a,/d",
            "postgres://u:hush@,a/d",
            "postgres://a,:1/d",
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(error.contains("an empty place") && error.contains(SEVERAL), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
        for url in [
            "postgres://u:12,hush/x@h/d",
            "postgres://u:12,hush#x@h/d",
            "postgres://u:12,hush?x@h/d",
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(error.contains("%2F") && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn known_parameters_pass() {
        assert!(refuse_unknown(None, &[]).is_ok());
        assert!(refuse_unknown(Some("host=a&options[b]=c"), &["host", "options["]).is_ok());
    }
}
