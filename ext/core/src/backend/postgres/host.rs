//! One of the hosts that a URL names, and the ways that lead to it.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::ConnectOptions;

use super::{monitor, STATEMENTS};
use crate::backend::url::{without_database, Url};
use crate::backend::Failure;
use crate::pool::Options;
use crate::Error;

/// How names are looked up: anew for each attempt, since what stands behind one may be another server by now.
pub type LookUp = fn(String, u16) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;

/// By what the system knows of names.
pub fn system(name: String, port: u16) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
    Box::pin(async move {
        let found = tokio::net::lookup_host((name, port)).await?;
        Ok(found.map(|address: SocketAddr| address.ip()).collect())
    })
}

/// One of the hosts.
#[derive(Debug)]
pub struct Host {
    options: PgConnectOptions,
    /// As configured: `address:port` or `unix:path`.
    pub address: String,
    look_up: LookUp,
}

/// A way to a host: by its name, or by one of the addresses that the name has.
#[derive(Debug, Clone)]
pub struct Approach {
    pub options: PgConnectOptions,
    pub address: Option<IpAddr>,
}

impl Approach {
    /// The host, and by which of its addresses.
    pub fn describe(&self, host: &Host) -> String {
        match self.address {
            Some(address) => format!("{} ({address})", host.address),
            None => host.address.clone(),
        }
    }
}

impl Host {
    /// # Errors
    ///
    /// [`Error::Configuration`] where the URL holds what PostgreSQL does not take.
    pub fn new(url: &Url, options: &Options, look_up: LookUp) -> Result<Self, Error> {
        let mut connect = PgConnectOptions::from_url(url)
            .map_err(|error| Error::Configuration(format!("the URL cannot be used: {}", Failure::from(error))))?
            .statement_cache_capacity(STATEMENTS)
            .disable_statement_logging();
        // The server would take the user's name for it. PGDATABASE is as good as the URL.
        if connect.get_database().is_none() {
            return Err(without_database("postgres://user:password@host:5432/database"));
        }
        if let Some(name) = &options.application_name {
            connect = connect.application_name(name);
        }
        let mut address = match connect.get_socket() {
            Some(folder) => format!("unix:{}/.s.PGSQL.{}", folder.display(), connect.get_port()),
            None => format!("{}:{}", connect.get_host(), connect.get_port()),
        };
        // The driver would look for a server of that name, with its brackets.
        let inner = connect
            .get_host()
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        if let Some(inner) = inner.map(str::to_owned) {
            address = format!("[{inner}]:{}", connect.get_port());
            connect = connect.host(&inner);
        }
        Ok(Host {
            options: connect,
            address,
            look_up,
        })
    }

    /// The same, but for the address: that of one of its servers, as a socket tells it.
    pub fn at(&self, peer: &str) -> Option<Host> {
        // A socket's path, once set, would be gone by whatever the address.
        if self.options.get_socket().is_some() && !peer.starts_with("unix:") {
            return None;
        }
        Some(Host {
            options: monitor::at(&self.options, peer)?,
            address: peer.to_owned(),
            look_up: self.look_up,
        })
    }

    /// The ways that lead to it, in the order in which they are to be tried.
    ///
    /// # Errors
    ///
    /// Where its name is nobody's.
    pub async fn approaches(&self) -> Result<Vec<Approach>, Failure> {
        let name = self.options.get_host();
        // A certificate is proven by the name only.
        if self.is_no_name() || matches!(self.options.get_ssl_mode(), PgSslMode::VerifyFull) {
            return Ok(vec![self.by_name()]);
        }
        let found = (self.look_up)(name.to_owned(), self.options.get_port()).await;
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in found.map_err(sqlx::Error::Io)? {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(self.approaches_to(&addresses))
    }

    fn approaches_to(&self, addresses: &[IpAddr]) -> Vec<Approach> {
        let by_address = addresses.iter().map(|address| self.by_address(*address));
        if !self.speaks_tls() {
            return by_address.collect();
        }
        // Servers that are told apart by the name in TLS know themselves by that alone.
        let others = by_address.filter(|_| addresses.len() > 1);
        std::iter::once(self.by_name()).chain(others).collect()
    }

    /// The ways that lead to the one server that a session is on: by the address of its socket first, unless TLS wants the
    /// name.
    pub fn approaches_back(&self, address: Option<IpAddr>) -> Vec<Approach> {
        let mut approaches = vec![self.by_name()];
        if let Some(address) = address.filter(|_| !self.is_no_name()) {
            let mode = self.options.get_ssl_mode();
            let first = !self.speaks_tls() || matches!(mode, PgSslMode::Prefer);
            approaches.insert(usize::from(!first), self.by_address(address));
        }
        approaches
    }

    fn by_name(&self) -> Approach {
        Approach {
            options: self.options.clone(),
            address: None,
        }
    }

    fn by_address(&self, address: IpAddr) -> Approach {
        Approach {
            options: self.options.clone().host(&address.to_string()),
            address: Some(address),
        }
    }

    /// Whether it is a socket's path or an address.
    fn is_no_name(&self) -> bool {
        let host = self.options.get_host();
        self.options.get_socket().is_some() || host.starts_with('/') || host.parse::<IpAddr>().is_ok()
    }

    fn speaks_tls(&self) -> bool {
        // The driver takes `allow` for `disable`.
        !matches!(self.options.get_ssl_mode(), PgSslMode::Disable | PgSslMode::Allow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{tests::options, url};

    fn host(url: &str) -> Host {
        Host::new(&url::parse(url).unwrap().0, &options(), system).unwrap()
    }

    fn named(approaches: &[Approach]) -> Vec<&str> {
        approaches.iter().map(|approach| approach.options.get_host()).collect()
    }

    const TWO: [IpAddr; 2] = [
        IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)),
        IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)),
    ];

    #[test]
    fn every_address_of_a_name_is_tried_after_the_name_itself_where_tls_may_want_that() {
        let plain = host("postgres://u@db/a?sslmode=disable");
        assert_eq!(named(&plain.approaches_to(&TWO)), ["10.0.0.1", "10.0.0.2"]);
        let with_tls = host("postgres://u@db/a?sslmode=require");
        assert_eq!(named(&with_tls.approaches_to(&TWO)), ["db", "10.0.0.1", "10.0.0.2"]);
        assert_eq!(named(&with_tls.approaches_to(&TWO[..1])), ["db"]);
    }

    #[test]
    fn the_way_back_leads_to_the_address_of_the_socket() {
        let back = |url| named(&host(url).approaches_back(Some(TWO[1]))).join(" ");
        assert_eq!(back("postgres://u@db/a?sslmode=disable"), "10.0.0.2 db");
        assert_eq!(back("postgres://u@db/a?sslmode=prefer"), "10.0.0.2 db");
        assert_eq!(back("postgres://u@db/a?sslmode=require"), "db 10.0.0.2");
        assert_eq!(back("postgres://u@10.0.0.2/a"), "10.0.0.2");
    }

    #[test]
    fn an_address_in_brackets_is_one() {
        let literal = host("postgres://u@[::1]:5433/a");
        assert_eq!(
            (literal.options.get_host(), literal.address.as_str()),
            ("::1", "[::1]:5433")
        );
        assert!(literal.is_no_name());
    }
}
