//! What a host monitor asks a PostgreSQL server.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{Executor, Row};

use super::super::{Facts, Failure};

/// By what the server's log and views know a monitor.
const NAME: &str = "poolkeeper monitor";
/// A role that is set to read only is no demotion, so `transaction_read_only` is not asked.
const FACTS: &str = "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8, \
                     pg_is_in_recovery(), host(inet_server_addr()), inet_server_port(), \
                     extract(epoch FROM pg_postmaster_start_time())::text";

/// The same connection to a server at this very address: a name could lead to another one by now.
///
/// A certificate is made out to a name, so its owner's name is not compared.
pub(super) fn at(options: &PgConnectOptions, host: &str) -> Option<PgConnectOptions> {
    let options = options.clone().application_name(NAME);
    let options = match options.get_ssl_mode() {
        PgSslMode::VerifyFull => options.ssl_mode(PgSslMode::VerifyCa),
        _ => options,
    };
    if let Some(path) = host.strip_prefix("unix:") {
        let path = Path::new(path);
        let port = path.extension()?.to_str()?.parse().ok()?;
        return Some(options.socket(path.parent()?).port(port));
    }
    let address: SocketAddr = host.parse().ok()?;
    Some(options.host(&address.ip().to_string()).port(address.port()))
}

pub(super) async fn facts(connection: &mut PgConnection, host: &str) -> Result<Facts, Failure> {
    let row = connection.fetch_one(sqlx::raw_sql(FACTS)).await?;
    let server = match connection
        .fetch_one(sqlx::raw_sql("SELECT system_identifier::text FROM pg_control_system()"))
        .await
    {
        Ok(row) => row.try_get_unchecked(0)?,
        // Not everybody may know which server this is.
        Err(sqlx::Error::Database(_)) => String::new(),
        Err(error) => return Err(error.into()),
    };
    Ok(Facts {
        // A clock that was set back since says less than nothing.
        up_for: Duration::try_from_secs_f64(row.try_get_unchecked(0)?).ok(),
        run: row.try_get_unchecked(4)?,
        read_only: row.try_get_unchecked(1)?,
        direct: !server.is_empty() && is_at(&row, host)?,
        server,
    })
}

/// Whether the server says that it is where it was asked.
fn is_at(row: &PgRow, host: &str) -> Result<bool, Failure> {
    let address: Option<String> = row.try_get_unchecked(2)?;
    let port: Option<i32> = row.try_get_unchecked(3)?;
    let asked: Option<SocketAddr> = host.parse().ok();
    Ok(match (address, port, asked) {
        (Some(address), Some(port), Some(asked)) => {
            address.parse() == Ok(asked.ip()) && i32::from(asked.port()) == port
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    #[test]
    fn a_monitor_goes_to_the_address_itself_with_what_the_pool_goes_by() {
        let pool =
            PgConnectOptions::from_str("postgres://user:word@db.example:5433/things?sslmode=verify-full").unwrap();
        let there = at(&pool, "10.0.0.7:6000").unwrap();
        assert_eq!((there.get_host(), there.get_port()), ("10.0.0.7", 6000));
        assert_eq!((there.get_username(), there.get_database()), ("user", Some("things")));
        assert!(matches!(there.get_ssl_mode(), PgSslMode::VerifyCa));
        let there = at(&pool, "[::1]:6000").unwrap();
        assert_eq!(there.get_host(), "::1");

        let local = at(&pool, "unix:/run/postgresql/.s.PGSQL.5434").unwrap();
        assert_eq!(local.get_socket().unwrap(), Path::new("/run/postgresql"));
        assert_eq!(local.get_port(), 5434);
        assert!(at(&pool, "unknown").is_none() && at(&pool, "unix:elsewhere").is_none());
    }
}
