//! Why none of the hosts would do, in one failure.

use crate::backend::{Failure, Kind};
use crate::fault::Fault;

/// What was heard from each host that was tried.
#[derive(Default)]
pub struct Refusals(Vec<Refusal>);

struct Refusal {
    host: usize,
    /// As it is shown.
    who: String,
    failure: Failure,
}

impl Refusals {
    /// What a host had to say, by its place in the list. The same word from several addresses of one is kept once.
    pub fn add(&mut self, host: usize, who: String, failure: Failure) {
        let is_new = |refusal: &Refusal| refusal.host != host || refusal.failure != failure;
        if self.0.iter().all(is_new) {
            self.0.push(Refusal { host, who, failure });
        }
    }

    /// All of them. Where they are of one kind it is of that kind; else the servers cannot be reached for now, and are to
    /// be tried again.
    pub fn into_failure(mut self) -> Failure {
        if self.0.len() == 1 {
            let one = self.0.remove(0);
            // The host itself is named by whoever tells of it, and is the only one.
            return one.failure;
        }
        let told: Vec<String> = self
            .0
            .iter()
            .map(|one| format!("{}: {}", one.who, one.failure.text))
            .collect();
        let text = told.join("; ");
        match self.leading() {
            Some(leading) => Failure {
                text,
                ..leading.clone()
            },
            None => Failure::new(Kind::Lost, text),
        }
    }

    /// The one by which all of them are judged, unless that is as unreachable.
    fn leading(&self) -> Option<&Failure> {
        let hosts = self.by_host();
        let first = *hosts.first()?;
        let fault = first.fault_of_connect();
        if fault != Some(Fault::Unreachable) && hosts.iter().all(|failure| failure.fault_of_connect() == fault) {
            return Some(first);
        }
        // The one server of the right role that there may be has no room for us.
        let full = hosts.iter().copied().find(|failure| is_full(failure))?;
        let others_are_away =
            |failure: &&Failure| is_full(failure) || failure.fault_of_connect() == Some(Fault::Unreachable);
        hosts.iter().all(others_are_away).then_some(full)
    }

    /// What each host has said: an answer from one of its addresses says more than that another leads nowhere.
    fn by_host(&self) -> Vec<&Failure> {
        let mut hosts: Vec<&Refusal> = Vec::new();
        for refusal in &self.0 {
            match hosts.iter_mut().find(|known| known.host == refusal.host) {
                Some(known) if is_answer(&refusal.failure) && !is_answer(&known.failure) => *known = refusal,
                Some(_) => {}
                None => hosts.push(refusal),
            }
        }
        hosts.into_iter().map(|refusal| &refusal.failure).collect()
    }
}

fn is_answer(failure: &Failure) -> bool {
    !matches!(failure.kind, Kind::Lost | Kind::Late)
}

fn is_full(failure: &Failure) -> bool {
    failure.fault_of_connect() == Some(Fault::Overloaded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(sqlstate: &str) -> Failure {
        Failure {
            sqlstate: Some(sqlstate.to_owned()),
            fatal: true,
            ..Failure::new(Kind::Answer, format!("says {sqlstate}"))
        }
    }

    fn lost() -> Failure {
        Failure::new(Kind::Lost, "refused")
    }

    fn role() -> Failure {
        Failure::new(Kind::Role, "it is a standby")
    }

    fn together(failures: impl IntoIterator<Item = Failure>) -> Failure {
        let mut refusals = Refusals::default();
        for (host, failure) in failures.into_iter().enumerate() {
            refusals.add(host, format!("host-{host}:5432"), failure);
        }
        refusals.into_failure()
    }

    #[test]
    fn every_host_is_told_of_with_its_reason() {
        let failure = together([lost(), role()]);
        assert_eq!(failure.text, "host-0:5432: refused; host-1:5432: it is a standby");
        assert_eq!(failure.fault_of_connect(), Some(Fault::Unreachable));
        assert_eq!(together([lost()]).text, "refused");
    }

    #[test]
    fn what_all_say_is_what_they_say_together_and_else_they_are_tried_again() {
        let passwords = together([answer("28P01"), answer("28P01")]);
        assert_eq!((passwords.kind, passwords.fault_of_connect()), (Kind::Answer, None));
        assert_eq!(passwords.sqlstate.as_deref(), Some("28P01"));
        for mixed in [[answer("28P01"), lost()], [role(), answer("28P01")]] {
            assert_eq!(together(mixed).fault_of_connect(), Some(Fault::Unreachable));
        }
    }

    #[test]
    fn a_server_of_the_right_role_that_is_full_is_no_server_that_is_down() {
        for full in [
            [role(), answer("53300")],
            [answer("53300"), answer("53300")],
            [lost(), answer("53300")],
        ] {
            let failure = together(full);
            assert_eq!(failure.fault_of_connect(), Some(Fault::Overloaded), "{failure}");
        }
    }

    #[test]
    fn an_answer_says_more_than_an_address_that_leads_nowhere() {
        for (answered, fault) in [(answer("53300"), Some(Fault::Overloaded)), (answer("28P01"), None)] {
            let mut refusals = Refusals::default();
            refusals.add(0, "db:5432 (::1)".to_owned(), lost());
            refusals.add(0, "db:5432 (127.0.0.1)".to_owned(), answered);
            assert_eq!(refusals.into_failure().fault_of_connect(), fault);
        }
    }

    #[test]
    fn the_same_word_from_two_addresses_of_a_host_is_said_once() {
        let mut refusals = Refusals::default();
        refusals.add(0, "db:5432".to_owned(), lost());
        refusals.add(0, "db:5432 (10.0.0.1)".to_owned(), lost());
        assert_eq!(refusals.into_failure(), lost());
    }
}
