use std::time::Duration;

use super::*;

pub fn options() -> Options {
    Options {
        name: "events".to_owned(),
        size: 1,
        min: 0,
        checkout_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
        check_idle_after: Duration::from_secs(1),
        idle_timeout: None,
        max_lifetime: None,
        keepalive: None,
        statement_timeout: None,
        leak_threshold: None,
        application_name: None,
    }
}

fn address(url: &str) -> Result<String, String> {
    of(url, &options(), Followed::default())
        .map(|backend| backend.address().to_string())
        .map_err(|error| error.to_string())
}

#[test]
fn a_url_names_its_database() {
    let told = |url| address(url).unwrap_or_else(|error| error);
    assert_eq!(told("postgres://u:p@db:5433/a"), "db:5433");
    assert_eq!(
        told("postgresql:///a?host=/run/pg&user=u"),
        "unix:/run/pg/.s.PGSQL.5432"
    );
    assert_eq!(told("postgres://u:p@a:5433,b,[::1]:5434/d"), "a:5433,b:5432,[::1]:5434");
    assert_eq!(
        told("postgres://u@%2Frun%2Fa,b/d?target_session_attrs=primary"),
        "unix:/run/a/.s.PGSQL.5432,b:5432"
    );
    assert_eq!(told("mysql://u:p@db/a"), "db:3306");
    assert_eq!(told("mariadb://u:p@db:3307/a?ssl-mode=disabled"), "db:3307");
    assert_eq!(told("mysql://u@h/a?socket=/run/my.sock"), "unix:/run/my.sock");
    assert_eq!(told("sqlite:events.db"), "events.db");
    assert_eq!(told("sqlite:///var/events.db?mode=ro"), "/var/events.db");
    assert_eq!(told("sqlite:/var/events.db"), "/var/events.db");
    assert_eq!(told("sqlite::memory:"), ":memory:");
}

#[test]
fn what_no_database_takes_is_refused_with_what_it_takes_and_without_the_password() {
    for (url, wanted) in [
        ("postgres://u:hush@h/a?pool=5", "those that are known are host, "),
        ("mysql://u:hush@h/a?pool=5", "those that are known are socket, "),
        ("sqlite:a.db?pool=hush", "those that are known are mode, "),
        ("postgres://u:hush@h/a?sslmode=maybe", "the URL cannot be used"),
        (
            "mysql://u:hush@h/",
            "names no database; give its name at the end, as in mysql://",
        ),
        ("sqlite:", "names no file"),
        ("sqlite:?mode=ro", "names no file"),
        ("sqlite:a.db?mode=never", "the URL cannot be used"),
        ("sqlite::memory:?cache=private", "a database in memory of its own"),
        (
            "oracle://u:hush@h/a",
            "begins with oracle:; give one that begins with postgres://",
        ),
        ("u:hush@h/a", "begins with u:"),
        ("//u:hush@h/a", "cannot be read"),
        ("postgres://u:hush@h:99999/a", "cannot be read"),
        ("postgres://u:hush@h,i:99999/a", "cannot be read"),
        (
            "postgres://u:hush@h,/a",
            "an empty place in its list of hosts; name one between each two commas",
        ),
        (
            "postgres://u:hush@h,i/a?host=/run/pg",
            "the parameter host as well, which is for one; leave it out",
        ),
        (
            "postgres://u:hush@h,i/a?port=5433",
            "write each host with its port, as in postgres://user:password@a:5432,b:5433/database",
        ),
        (
            "postgres://u:hush@h/a?host=i,j",
            "write several hosts before the database, as in postgres://",
        ),
        (
            "postgres://u:hush@h/a?target_session_attrs=master",
            "takes any, read-write, read-only, primary, standby, prefer-standby",
        ),
        (
            "mysql://u:hush@h,i/a",
            "for postgres:// only; give mysql:// one host: a name, or a proxy",
        ),
        (
            "mariadb://u:hush@h/a?target_session_attrs=primary",
            "is for postgres:// only; leave it out",
        ),
        (
            "sqlite:a.db?target_session_attrs=primary",
            "is for postgres:// only; leave it out",
        ),
        (
            "sqlite://u:hush@h,i/a",
            "SQLite is a file; give its path, as in sqlite:storage",
        ),
    ] {
        let error = address(url).err().unwrap_or_default();
        assert!(error.contains(wanted), "{url}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
}
