//! What a host monitor asks a MySQL or MariaDB server.

use std::net::SocketAddr;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{AssertSqlSafe, Executor, Row};

use super::super::{Facts, Failure};
use super::SERVER;

/// The same connection to a server at this very address: a name could lead to another one by now.
///
/// A certificate is made out to a name, so its owner's name is not compared.
pub(super) fn at(options: &MySqlConnectOptions, host: &str) -> Option<MySqlConnectOptions> {
    let options = options.clone();
    let options = match options.get_ssl_mode() {
        MySqlSslMode::VerifyIdentity => options.ssl_mode(MySqlSslMode::VerifyCa),
        _ => options,
    };
    if let Some(path) = host.strip_prefix("unix:") {
        return Some(options.socket(path));
    }
    let address: SocketAddr = host.parse().ok()?;
    Some(options.host(&address.ip().to_string()).port(address.port()))
}

/// A server says its port and not its address. A proxy may have another port than the servers behind it, and a balancer
/// the same: so nothing is made of when it was started, which may be another server's.
pub(super) async fn facts(connection: &mut MySqlConnection, host: &str) -> Result<Facts, Failure> {
    let ask = format!("SELECT CAST({SERVER} AS CHAR), @@global.read_only, @@port");
    let row = connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(ask))).await?;
    let port: u64 = row.try_get_unchecked(2)?;
    let asked: Option<SocketAddr> = host.parse().ok();
    Ok(Facts {
        server: row.try_get_unchecked(0)?,
        up_for: None,
        run: None,
        read_only: row.try_get_unchecked::<i64, _>(1)? != 0,
        direct: asked.is_some_and(|asked| u64::from(asked.port()) == port),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::str::FromStr;

    #[test]
    fn a_monitor_goes_to_the_address_itself_with_what_the_pool_goes_by() {
        let pool =
            MySqlConnectOptions::from_str("mysql://user:word@db.example/things?ssl-mode=verify_identity").unwrap();
        let there = at(&pool, "10.0.0.7:6000").unwrap();
        assert_eq!((there.get_host(), there.get_port()), ("10.0.0.7", 6000));
        assert_eq!((there.get_username(), there.get_database()), ("user", Some("things")));
        assert!(matches!(there.get_ssl_mode(), MySqlSslMode::VerifyCa));
        let local = at(&pool, "unix:/run/mysqld/mysqld.sock").unwrap();
        assert_eq!(local.get_socket().unwrap(), Path::new("/run/mysqld/mysqld.sock"));
        assert!(at(&pool, "unknown").is_none());
    }
}
