//! Which of several servers is found, by what they say of themselves.

#[allow(dead_code, missing_docs)]
#[path = "../../../../tests/support/server.rs"]
mod server;

use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::backend::{tests::options, url};
use server::{Manner, Role as Says, Server};

const SHORT: Duration = Duration::from_millis(1_500);

fn postgres(url: &str) -> Postgres {
    looking_up(url, |_, _| answers(&["127.0.0.2", "127.0.0.3"]))
}

fn looking_up(url: &str, look_up: LookUp) -> Postgres {
    let (first, others) = url::parse(url).unwrap();
    Postgres::looking_up(&first, &others, &options(), Followed::default(), look_up).unwrap()
}

fn answers(addresses: &[&str]) -> std::pin::Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Box::pin(async move { Ok(addresses) })
}

fn url(servers: &[&Server], wanted: &str) -> String {
    let hosts: Vec<String> = servers
        .iter()
        .map(|server| format!("127.0.0.1:{}", server.port()))
        .collect();
    format!(
        "postgres://u:hush@{}/d?sslmode=disable&target_session_attrs={wanted}",
        hosts.join(",")
    )
}

/// The place of the host that is found, or what was said instead.
async fn found(postgres: &Postgres) -> Result<usize, Failure> {
    let opened = postgres.connect(Instant::now() + SHORT).await?;
    let host = opened.session.id().way.host;
    opened.session.close().await?;
    Ok(host)
}

async fn closed(servers: &[&Server]) {
    // A server hears of a goodbye a moment later.
    let deadline = Instant::now() + Duration::from_secs(10);
    while servers.iter().any(|server| server.open() > 0) {
        assert!(Instant::now() < deadline, "a connection was left open");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn the_first_host_with_the_wanted_role_is_taken_and_the_others_hear_a_goodbye() {
    let (standby, read_only) = (Server::of_role(Says::Standby), Server::of_role(Says::ReadOnly));
    let (primary, other) = (Server::of_role(Says::Primary), Server::of_role(Says::Primary));
    let servers = [&standby, &read_only, &primary, &other];
    for (wanted, host) in [
        ("any", 0),
        ("read-write", 2),
        ("read-only", 0),
        ("primary", 1),
        ("standby", 0),
        ("prefer-standby", 0),
    ] {
        assert_eq!(found(&postgres(&url(&servers, wanted))).await, Ok(host), "{wanted}");
        closed(&servers).await;
    }
    assert_eq!(other.accepted(), 0);
    let unasked = standby
        .said()
        .iter()
        .filter(|said| !said.contains("pg_is_in_recovery"))
        .count();
    assert_eq!(unasked, 1, "who takes any does not ask");
}

#[tokio::test]
async fn a_standby_is_preferred_wherever_it_stands_and_else_the_first_primary_will_do() {
    let (first, second) = (Server::of_role(Says::Primary), Server::of_role(Says::Primary));
    let servers = [&first, &second];
    let postgres = postgres(&url(&servers, "prefer-standby"));
    assert_eq!(found(&postgres).await, Ok(0));
    closed(&servers).await;
    assert_eq!(
        (first.accepted(), second.accepted()),
        (1, 1),
        "asked once, and kept meanwhile"
    );
    second.become_role(Says::Standby);
    assert_eq!(found(&postgres).await, Ok(1));
    closed(&servers).await;
    // One that says nothing is no standby.
    second.behave(Manner::Stalls);
    assert_eq!(found(&postgres).await, Ok(0));
}

#[tokio::test]
async fn where_no_host_has_the_role_each_is_told_of_and_they_are_unreachable() {
    let (standby, gone) = (Server::of_role(Says::Standby), Server::new(Manner::Well).port());
    let hosts = format!("127.0.0.1:{},127.0.0.1:{gone}", standby.port());
    let url = format!("postgres://u:hush@{hosts}/d?sslmode=disable&target_session_attrs=primary");
    let failure = found(&postgres(&url)).await.unwrap_err();
    assert_eq!(failure.fault_of_connect(), Some(crate::fault::Fault::Unreachable));
    let text = failure.to_string();
    assert!(
        text.contains(&format!(
            "127.0.0.1:{}: it is a standby, and primary is wanted",
            standby.port()
        )),
        "{text}"
    );
    assert!(
        text.contains(&format!("; 127.0.0.1:{gone}: Connection refused")),
        "{text}"
    );
    assert!(!text.contains("hush"), "{text}");
}

#[tokio::test]
async fn one_host_is_asked_for_its_role_too() {
    let standby = Server::of_role(Says::Standby);
    let failure = found(&postgres(&url(&[&standby], "read-write"))).await.unwrap_err();
    assert_eq!(
        failure.text,
        "it is a standby, and read-write is wanted (target_session_attrs)"
    );
}

#[tokio::test]
async fn a_host_that_says_nothing_takes_no_more_than_its_part_of_the_time() {
    let (silent, mute) = (Server::new(Manner::Stalls), Server::new(Manner::Stalls));
    let primary = Server::of_role(Says::Primary);
    let postgres = postgres(&url(&[&silent, &mute, &primary], "read-write"));
    let start = Instant::now();
    assert_eq!(found(&postgres).await, Ok(2));
    assert!(
        (SHORT * 6 / 10..SHORT).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
    primary.behave(Manner::Stalls);
    let start = Instant::now();
    let text = found(&postgres).await.unwrap_err().text;
    assert!(start.elapsed() < SHORT * 2, "{:?}", start.elapsed());
    assert_eq!(text.matches("its part of connect_timeout").count(), 3, "{text}");
}

#[tokio::test]
async fn a_refused_log_in_is_one_where_all_refuse_and_no_name_is_asked_twice_for_it() {
    let (first, second) = (
        Server::new(Manner::Refuses("28P01")),
        Server::new(Manner::Refuses("28P01")),
    );
    let failure = found(&postgres(&url(&[&first, &second], "read-write")))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.sqlstate.as_deref(), failure.fault_of_connect()),
        (Some("28P01"), None)
    );
    let (one, two) = two_addresses(Manner::Refuses("28P01"), Manner::Well);
    found(&postgres(&named(&one, "any"))).await.unwrap_err();
    assert_eq!((one.accepted(), two.accepted()), (1, 0));
}

/// Servers behind one name, which has both of their addresses.
fn two_addresses(first: Manner, second: Manner) -> (Server, Server) {
    let first = Server::at("127.0.0.2:0", first);
    let second = Server::at(&format!("127.0.0.3:{}", first.port()), second);
    (first, second)
}

fn named(server: &Server, wanted: &str) -> String {
    format!(
        "postgres://u@a-name:{}/d?sslmode=disable&target_session_attrs={wanted}",
        server.port()
    )
}

#[tokio::test]
async fn every_address_of_a_name_is_asked() {
    let (standby, primary) = two_addresses(Manner::Well, Manner::Well);
    standby.become_role(Says::Standby);
    let postgres = postgres(&named(&standby, "read-write"));
    let opened = postgres.connect(Instant::now() + SHORT).await.unwrap();
    let second: IpAddr = "127.0.0.3".parse().unwrap();
    assert_eq!(opened.session.id().way.address, Some(second));
    closed(&[&standby]).await;
    // The statement that is ended is one on that server.
    postgres.cancel(opened.session.id()).await.unwrap();
    assert_eq!(
        primary
            .said()
            .iter()
            .filter(|said| said.contains("pg_cancel_backend"))
            .count(),
        1
    );
    assert_eq!(standby.accepted(), 1);
    standby.behave(Manner::Stalls);
    assert_eq!(found(&postgres).await, Ok(0));
    primary.become_role(Says::Standby);
    let text = found(&postgres).await.unwrap_err().text;
    assert!(
        text.contains("(127.0.0.2): no connection after") && text.contains("(127.0.0.3): it is a standby"),
        "{text}"
    );
}

#[tokio::test]
async fn a_name_is_looked_up_anew_and_its_old_answer_brings_no_old_writer_back() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let (old, new) = two_addresses(Manner::Well, Manner::Well);
    old.become_role(Says::Standby);
    let postgres = looking_up(&named(&old, "read-write"), |_, _| {
        // Once more as it was before.
        answers(&[["127.0.0.2", "127.0.0.3"][ASKED.fetch_add(1, Ordering::SeqCst).min(1)]])
    });
    let failure = found(&postgres).await.unwrap_err();
    assert_eq!(failure.kind, crate::backend::Kind::Role);
    assert_eq!(found(&postgres).await, Ok(0));
    assert_eq!((old.accepted(), new.accepted()), (1, 1));
}
